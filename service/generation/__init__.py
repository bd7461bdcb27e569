"""A validated request becomes images, and images become an answer."""
