"""How much of a busy device's time goes into padding."""

from dataclasses import dataclass
from random import Random

from embedstack.engine.admission import Claim
from embedstack.engine.pace import Costs
from embedstack.engine.packing import choose
from embedstack.engine.room import Room

MINILM = Costs(run_s=1.5e-3, token_s=250e-6, square_s=250e-9)  # on two cores of Zen 3, as `pace` begins
BUDGET = 1024


@dataclass
class Single:
    """A request of one text."""

    lengths: list[int]
    caller: str
    arrived: float
    group: str = "model"
    claim: Claim = 0
    is_long: bool = False
    planned: int = 0

    @property
    def waits_since(self) -> float:
        return self.arrived


def ran(callers: int, batches: int) -> list[list[int]]:
    """The lengths of each batch, of callers who ask again as soon as they have their answer."""
    draw = Random(0)

    def ask(caller: str) -> Single:
        return Single([draw.choice([draw.randint(9, 24), draw.randint(90, 256)])], caller, now + draw.random() * 1e-6)

    now, served, made = 0.0, dict.fromkeys(map(str, range(callers)), 0.0), []
    line = [ask(caller) for caller in served]
    for _ in range(batches):
        batch = choose(line, served, now, lambda request: Room(BUDGET, costs=MINILM))
        places = sorted((place for place, _ in batch), reverse=True)
        gone = [line.pop(place) for place in places]
        made.append([one.lengths[0] for one in gone])
        now += seconds(made[-1])
        for one in gone:
            served[one.caller] += one.lengths[0]
            line.append(ask(one.caller))
    return made


def seconds(lengths: list[int]) -> float:
    return MINILM.of(sum(lengths), len(lengths) * max(lengths) ** 2)


def test_at_most_a_fiftieth_of_a_busy_devices_time_goes_into_padding() -> None:
    batches = ran(64, 150)
    took = sum(map(seconds, batches))
    without = sum(MINILM.of(sum(batch), sum(length**2 for length in batch)) for batch in batches)

    assert 1 - without / took <= 0.02


def test_batches_of_a_busy_device_are_nearly_full_all_the_same() -> None:
    batches = ran(256, 150)

    assert sum(map(sum, batches)) >= 0.85 * BUDGET * len(batches)
