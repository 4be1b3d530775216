"""What the benchmark says about its aims: reached, not reached, not measured, or not to be told on this machine."""

import pytest

from aims import aims, default_name


def result(precision: str, **texts_per_s: float) -> dict:
    def one(rate: float) -> dict:
        mixed = {"texts_per_s": {"median": rate}, "share_of_limit": 0.9}
        return {"speed": {"mixed": mixed}, "fidelity": {"cosine_to_float64": {"min": 0.9999995, "mean": 1.0}}}

    names = {name.replace("_", " "): rate for name, rate in texts_per_s.items()}
    machine = {"precision": f"{precision}, because of the processor"}
    return {"machine": machine, "contenders": {name: one(rate) for name, rate in names.items()}}


def verdicts(made: dict, large: dict | None = None) -> dict[str, tuple[str, str]]:
    return {aim.what: (aim.measured, aim.verdict) for aim in aims(made, None, large)}


@pytest.mark.parametrize(("rate", "verdict"), [(150.0, "yes"), (149.0, "no")])
def test_a_ratio_is_reached_from_its_limit_on(rate: float, verdict: str) -> None:
    made = result("float32", embedstack_onnx_float32=rate, FastEmbed=100.0)

    assert verdicts(made)["onnx float32, texts/s beside FastEmbed at its best"] == (f"{rate / 100:.2f} x", verdict)


def test_a_peer_is_taken_at_the_better_of_its_engines() -> None:
    made = result("bfloat16", embedstack_openvino_bfloat16=400.0, Infinity_torch=50.0, Infinity_onnx=80.0)

    assert verdicts(made)["MiniLM bfloat16, texts/s beside Infinity at its best"] == ("5.00 x in bfloat16", "yes")


def test_float32_does_not_answer_an_aim_for_bfloat16() -> None:
    made = result("float32", embedstack_openvino_float32=400.0, FastEmbed=50.0)

    measured, verdict = verdicts(made)["MiniLM bfloat16, texts/s beside FastEmbed at its best"]
    assert (measured, verdict) == (
        "8.00 x in float32",
        "cannot be told: this processor has no native bfloat16",
    )


def test_what_was_skipped_is_not_measured() -> None:
    assert verdicts(result("float32"))["int8, mean cosine to float64"] == ("–", "not measured")


def test_a_trial_run_of_the_large_models_answers_nothing() -> None:
    trial = {"quick": True, "default": "float32", "bge-m3": {}, "reranker": {"ratio_to_cross_encoder": 9.0}}

    measured, _ = verdicts(result("float32"), trial)["bge-reranker-v2-m3, pairs/s beside CrossEncoder's default"]
    assert measured == "–"


def test_the_default_is_openvino_in_the_native_precision() -> None:
    assert default_name(result("bfloat16")) == "embedstack openvino bfloat16"
