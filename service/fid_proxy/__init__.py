"""A streaming Fréchet distance: how good the pictures are that the service makes right now.

    picture -> Sample -> judge -> Window -> estimate -> Reading -> Prometheus

samples    what a picture tells, and of which series of figures
register   which series have a window, and who makes room for another
window     the features of the newest pictures of one series
estimate   the distance of weighted features, without small-sample bias, and how sure of it one is
proxy      all of that on the engine thread, in slices, within a share of its time
failures   how often that failed, and when a model is not watched any more
canaries   pictures that idle lanes make, so that there are figures without traffic
gauges     what Prometheus sees

It is a proxy: features of the classifier that ships with the model, a few hundred pictures, 8 bits
a colour. Offline evidence (search_jobs/evaluate) decides promotions; this watches over them.
"""
