"""Figures of tables, against formulas and against the same figures computed plainly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torchmetrics.image import PeakSignalNoiseRatio

from diffusion_core.classic import classical_table
from diffusion_core.decoder import PixelDecoder, VAEDecoder
from diffusion_core.errors import TableMismatch
from diffusion_core.noise import initial_noise
from diffusion_core.program import compile_program, sample
from diffusion_core.quality import FeatureStatistics, Manifold, frechet_distance
from search_jobs.evaluate import (
    Contender,
    EvaluationPlan,
    Meter,
    Metric,
    Subject,
    evaluate,
    evidence_of,
)
from solver_store.store import SolverStore
from solver_store.table import Prediction, SolverTable
from tests.search_jobs.evaluate.subjects import PixelJudge, gaussian_subject, pixel_judge
from tests.search_jobs.search.toys import SHAPE, exact_ends

PLAN = EvaluationPlan(num_samples=60, num_endpoints=40, batch_rows=32)


def contender(name: str, steps: int = 4) -> Contender:
    return Contender(name, classical_table(name, "rectified-flow", steps))


# Of pictures as a PNG clips them.
PSNR = PeakSignalNoiseRatio(data_range=(-1.0, 1.0))
EULER, AB2 = contender("euler"), contender("ab2")


@pytest.fixture(scope="module")
def judged() -> Subject:
    return gaussian_subject(pixel_judge())


def plain_samples(subject: Subject, table: SolverTable) -> tuple[torch.Tensor, torch.Tensor]:
    """All at once, without batches."""
    noise = torch.stack([initial_noise(seed, SHAPE) for seed in PLAN.seeds])
    labels = torch.tensor([seed % 4 for seed in PLAN.seeds])
    program = compile_program(table, subject.problem.kind)
    return sample(subject.problem.network, program, noise, labels), exact_ends(noise)


def test_the_endpoint_error_is_the_distance_from_the_true_end(judged: Subject) -> None:
    evaluation = evaluate(judged, [EULER, AB2], PLAN)
    for measured, entry in zip(evaluation.measurements, (EULER, AB2), strict=True):
        samples, exact = plain_samples(judged, entry.table)
        difference = (samples - exact)[:40]
        rmse = float(difference.square().mean().sqrt())
        assert measured.estimates[Metric.ENDPOINT_RMSE].value == pytest.approx(rmse, rel=0.02)
        assert measured.estimates[Metric.PSNR].value == pytest.approx(
            float(PSNR(samples[:40], exact[:40])), abs=0.2
        )


def test_the_judged_figures_are_those_of_all_samples_at_once(judged: Subject) -> None:
    (measured,) = evaluate(judged, [AB2], PLAN).measurements
    samples, _ = plain_samples(judged, AB2.table)
    features = PixelJudge().features(samples.clamp(-1, 1))
    asked = torch.tensor([seed % 4 for seed in PLAN.seeds])
    shown = PixelJudge().classify(features).argmax(1)
    real = pixel_judge().real_features
    assert real is not None
    expected = {
        Metric.FRECHET_DISTANCE: frechet_distance(
            FeatureStatistics.of(features), FeatureStatistics.of(real)
        ),
        Metric.CLASS_ACCURACY: float((shown == asked).double().mean()),
        Metric.PRECISION: float(Manifold.of(real).covers(features).double().mean()),
        Metric.RECALL: float(Manifold.of(features).covers(real).double().mean()),
    }
    found = {metric: measured.estimates[metric].value for metric in expected}
    assert found == pytest.approx(expected, rel=1e-4)
    low, high = measured.interval(Metric.CLASS_ACCURACY)
    assert low < expected[Metric.CLASS_ACCURACY] < high


def test_without_a_judge_only_endpoints_are_measured() -> None:
    (measured,) = evaluate(gaussian_subject(), [EULER], PLAN).measurements
    assert set(measured.estimates) == {Metric.ENDPOINT_RMSE, Metric.PSNR}


def test_without_a_judge_no_more_is_drawn_than_is_compared(judged: Subject) -> None:
    plan = gaussian_subject().plan(240)
    assert (plan.num_samples, plan.num_endpoints) == (180, 180)
    assert judged.plan(240) == EvaluationPlan.of_samples(240)


class CountingDecoder(PixelDecoder):
    def __init__(self) -> None:
        self.decoded = 0

    def __call__(self, latents: torch.Tensor) -> torch.Tensor:
        self.decoded += len(latents)
        return super().__call__(latents)


def test_converged_solutions_are_decoded_once_for_all() -> None:
    decoder = CountingDecoder()
    subject = replace(gaussian_subject(), decoder=decoder)
    evaluate(subject, [EULER, AB2], PLAN)
    assert decoder.decoded == PLAN.num_endpoints + 2 * PLAN.num_samples


def autoencoder(seed: int) -> VAEDecoder:
    torch.manual_seed(seed)
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=SHAPE[0],
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    return VAEDecoder(vae.eval(), torch.device("cpu"))


def test_the_pictures_of_an_autoencoder_are_compared_as_far_as_there_are_endpoints() -> None:
    # The last batches have no endpoint: an autoencoder refuses to decode nothing.
    decoder = autoencoder(0)
    subject = replace(gaussian_subject(), decoder=decoder)
    (measured,) = evaluate(subject, [AB2], PLAN).measurements
    samples, exact = plain_samples(subject, AB2.table)
    wanted = PSNR(decoder(samples[:40]), decoder(exact[:40]))
    assert measured.estimates[Metric.PSNR].value == pytest.approx(float(wanted), abs=0.2)


def test_another_decoder_is_measured_anew(tmp_path: Path) -> None:
    subject = gaussian_subject()
    decoders = (PixelDecoder(), autoencoder(0), autoencoder(1))
    psnrs = {
        evaluate(replace(subject, decoder=decoder), [AB2], PLAN, tmp_path)
        .measurements[0]
        .estimates[Metric.PSNR]
        .value
        for decoder in decoders
    }
    assert len(psnrs) == 3
    before = subject.problem.network.rows
    evaluate(replace(subject, decoder=autoencoder(1)), [AB2], PLAN, tmp_path)
    assert subject.problem.network.rows == before


def test_guidance_asks_in_pairs() -> None:
    subject = gaussian_subject(guidance_scale=2.0, null_class=4)
    told = []
    evaluate(subject, [EULER], PLAN, meter=Meter(lambda *report: told.append(report)))
    done, total, what = told[-1]
    assert (done, what) == (total, "euler")
    assert subject.problem.network.rows == total


def test_samples_that_are_not_finite_are_counted_and_give_no_figures(judged: Subject) -> None:
    huge = SolverTable(
        "rectified-flow", Prediction.VELOCITY, (0.0, 0.5), (0.0, 0.5, 1.0), (1e30, 1e30),
        ((0.5,), (0.5,)),
    )  # fmt: skip
    told = []
    meter = Meter(lambda *report: told.append(report))
    broken, sound = evaluate(
        judged, [Contender("huge", huge), EULER], PLAN, None, meter
    ).measurements
    assert broken.num_broken > 0
    assert broken.estimates == {}
    assert sound.num_broken == 0
    assert told[-1][0] == told[-1][1]


def test_a_table_of_another_schedule_is_refused(judged: Subject) -> None:
    with pytest.raises(TableMismatch):
        evaluate(judged, [Contender("vp", classical_table("ab2", "vp", 4))], PLAN)


class Cut(Exception):
    pass


def test_what_was_cut_off_goes_on_where_it_was(tmp_path: Path, judged: Subject) -> None:
    def cut_at_the_second(done: int, total: int, what: str) -> None:
        if what == "ab2":
            raise Cut

    with pytest.raises(Cut):
        evaluate(judged, [EULER, AB2], PLAN, tmp_path, Meter(cut_at_the_second))
    network = judged.problem.network
    before = network.rows
    resumed = evaluate(judged, [EULER, AB2], PLAN, tmp_path)
    assert network.rows - before == PLAN.num_samples * 4  # AB2 alone
    assert resumed == evaluate(judged, [EULER, AB2], PLAN)
    before = network.rows
    assert evaluate(judged, [AB2, EULER], PLAN, tmp_path).measurements == tuple(
        reversed(resumed.measurements)
    )
    assert network.rows == before


def test_other_samples_weights_or_judges_are_measured_anew(tmp_path: Path) -> None:
    judge = pixel_judge()
    subjects = [
        gaussian_subject(judge),
        gaussian_subject(judge, identity="cd" * 32),
        gaussian_subject(replace(judge, reference=judge.reference + judge.reference)),
    ]
    for subject in subjects:
        evaluate(subject, [EULER], PLAN, tmp_path)
    evaluate(subjects[0], [EULER], replace(PLAN, first_seed=1), tmp_path)
    assert len(list(tmp_path.glob("measurements-*.json"))) == 4


def test_a_damaged_result_is_measured_again(tmp_path: Path) -> None:
    subject = gaussian_subject()
    first = evaluate(subject, [EULER], PLAN, tmp_path)
    (kept,) = tmp_path.glob("measurements-*.json")
    kept.write_text(kept.read_text()[:50])
    assert evaluate(subject, [EULER], PLAN, tmp_path) == first


def test_a_network_without_an_identity_leaves_nothing_behind(tmp_path: Path) -> None:
    evaluate(gaussian_subject(identity=""), [EULER], PLAN, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_evidence_says_what_it_was_measured_on(tmp_path: Path, judged: Subject) -> None:
    evaluation = evaluate(judged, [EULER], PLAN)
    (measured,) = evaluation.measurements
    evidence = evidence_of(judged, evaluation, measured, {"decision": "none"})
    store = SolverStore.open(f"sqlite:///{tmp_path / 'store.db'}")
    store.publish("euler-by-hand", EULER.table, source={}, evidence=[evidence])
    (kept,) = store.get("euler-by-hand", 1).evidence
    store.close()
    assert kept.metrics == {m.value: e.value for m, e in measured.estimates.items()}
    assert (kept.model, kept.steps, kept.guidance_scale) == ("gauss", 4, 1.0)
    assert kept.details["num_samples"] == 60
    assert kept.details["num_real_features"] == 300
    assert kept.details["seeds"] == [2**40, 2**40 + 59]
    low, high = kept.details["intervals_95"]["frechet_distance"]
    assert low < kept.metrics["frechet_distance"] < high
    assert kept.details["converged"]["self_error"] < 1e-3
    assert kept.details["decision"] == "none"
