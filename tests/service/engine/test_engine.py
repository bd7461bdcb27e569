"""What the engine makes, alone and beside neighbours, on a tiny network stepped by hand."""

import numpy as np
import torch

from diffusion_core.decoder import to_uint8
from diffusion_core.noise import initial_noise
from service.engine.requests import Report, StepDone
from tests.fakes import alone

MIXED = [
    {"steps": 1, "order": 1, "class_label": 0, "guidance_scale": 1.0, "seed": 1},
    {"steps": 4, "order": 2, "class_label": 1, "guidance_scale": 2.0, "seed": 2},
    {"steps": 5, "order": 5, "class_label": 2, "guidance_scale": 0.0, "seed": 3},
    {"steps": 9, "order": 3, "class_label": 3, "guidance_scale": 1.0, "seed": 4},
    {"steps": 7, "order": 7, "class_label": 0, "guidance_scale": 4.5, "seed": 5},
]


def test_mixed_lanes_match_each_lane_alone(engine, tiny, request_for, mailbox) -> None:
    requests = [request_for(**facts) for facts in MIXED]
    box = mailbox()
    engine.submit(requests, box)
    engine.crank_until_idle()
    for index, request in enumerate(requests):
        difference = box.done[index].pixels.astype(int) - alone(tiny, request).astype(int)
        assert np.abs(difference).max() <= 1


def test_neighbours_may_guide_other_channels(engine, tiny, request_for, mailbox) -> None:
    requests = [
        request_for(guidance_scale=3.0, seed=5, guided_channels=channels)
        for channels in (None, 1, 2, 3)
    ]
    box = mailbox()
    engine.submit(requests, box)
    engine.crank_until_idle()
    for index, request in enumerate(requests):
        difference = box.done[index].pixels.astype(int) - alone(tiny, request).astype(int)
        assert np.abs(difference).max() <= 1
    assert np.array_equal(box.done[0].pixels, box.done[3].pixels)  # the card says three
    assert not np.array_equal(box.done[0].pixels, box.done[1].pixels)


def test_an_image_does_not_depend_on_when_its_neighbours_come(
    engine, tiny, request_for, mailbox
) -> None:
    requests = [request_for(**facts) for facts in MIXED]
    box = mailbox()
    for request in requests:
        engine.submit([request], lambda event, request=request: box((request, event)))
        engine.crank(2)
    engine.crank_until_idle()
    for request, event in box.events:
        difference = event.pixels.astype(int) - alone(tiny, request).astype(int)
        assert np.abs(difference).max() <= 1


def test_deterministic_images_repeat_bit_for_bit_beside_any_neighbours(
    engine, request_for, mailbox
) -> None:
    wanted = request_for(steps=4, order=3, guidance_scale=2.0, seed=9, deterministic=True)
    pictures = []
    for neighbours in range(5):
        box = mailbox()
        engine.submit([request_for(**facts) for facts in MIXED[:neighbours]], mailbox())
        engine.submit([wanted], box)
        engine.submit(
            [request_for(seed=n, steps=3, deterministic=True) for n in range(neighbours)],
            mailbox(),
        )
        engine.crank_until_idle()
        pictures.append(box.done[0].pixels)
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)


def test_previews_come_step_by_step_and_end_in_the_picture(engine, request_for, mailbox) -> None:
    box = mailbox()
    engine.submit([request_for(steps=3, report=Report.PREVIEWS)], box)
    engine.crank_until_idle()
    steps = [event for event in box.events if isinstance(event, StepDone)]
    assert [(event.step, event.steps) for event in steps] == [(1, 3), (2, 3), (3, 3)]
    assert all(event.preview is not None for event in steps)
    assert box.events[-1] == box.done[0]


def test_steps_are_reported_without_pictures_where_only_steps_are_asked_for(
    engine, request_for, mailbox
) -> None:
    box = mailbox()
    engine.submit([request_for(steps=2, report=Report.STEPS)], box)
    engine.crank_until_idle()
    assert [(event.step, event.preview) for event in box.events[:-1]] == [(1, None), (2, None)]


def test_an_euler_preview_is_the_extrapolation_to_the_data_end(
    engine, tiny, request_for, mailbox
) -> None:
    """With one Euler step, data = x + (1 - t) v is the picture itself."""
    box = mailbox()
    request = request_for(steps=1, report=Report.PREVIEWS)
    engine.submit([request], box)
    engine.crank_until_idle()
    # The made-up weights take 1.5 v where the preview takes v: compare with the plain formula.
    x = initial_noise(request.seed, tiny.card.latent_shape).unsqueeze(0)
    with torch.inference_mode():
        v = tiny.network(x, torch.zeros(1), torch.tensor([0]))
    assert np.array_equal(box.events[0].preview, to_uint8(x + v)[0].numpy())


def test_slots_are_reused_and_the_bank_grows(engine, request_for, mailbox) -> None:
    box = mailbox()
    engine.submit([request_for(steps=2, seed=n) for n in range(40)], box)
    engine.crank_until_idle()
    assert len(box.done) == 40
    assert engine.stats().lanes == 0
    assert engine.stats().queued_rows == 0


def test_stats_count_what_waits_runs_and_was_evaluated(engine, request_for, mailbox) -> None:
    engine.submit([request_for(steps=3, guidance_scale=2.0) for _ in range(6)], mailbox())
    assert (engine.stats().queued_rows, engine.stats().waiting) == (36, 6)
    engine.crank()  # eight rows a forward: four guided lanes
    stats = engine.stats()
    assert (stats.queued_rows, stats.lanes, stats.waiting) == (28, 4, 2)
    assert (stats.steps, stats.network_evaluations) == (1, 4)
