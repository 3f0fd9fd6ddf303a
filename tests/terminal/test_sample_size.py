"""`gimel sample-size`: against published figures and other libraries, and what it prints."""

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from gimel.client import BackendClient
from gimel.terminal.sample_size import power, sample_size
from tests.support.commands import run, said
from tests.support.inference import ONE_SHARD, SHARDS_64


class TestAgainstStatsmodelsAndScipy:
    @pytest.mark.parametrize(
        ("rate", "lift"), [(0.2, 0.25), (0.1, 0.05), (0.02, 0.1), (0.5, -0.02)]
    )
    def test_sample_size(self, rate, lift):
        effect = proportion_effectsize(rate * (1 + lift), rate)
        theirs = NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)
        assert sample_size(rate, lift).fixed_horizon.per_variant == pytest.approx(theirs, rel=0.02)


class TestSampleSize:
    def test_published(self):
        # Evan Miller's calculator, unpooled: 1,091
        assert sample_size(0.2, 0.25).fixed_horizon.per_variant == pytest.approx(1091, rel=0.012)

    @pytest.mark.parametrize("error", [0.0, SHARDS_64])
    def test_it_inverts_the_power(self, error):
        found = sample_size(0.1, 0.05, power=0.9, alpha=0.01, relative_error=error)
        for need, free in ((found.fixed_horizon, False), (found.always_valid, True)):
            reached = power(0.1, 0.05, need.per_variant, 0.01, error, always_valid=free)
            assert reached == pytest.approx(0.9, abs=1e-4)

    def test_counting_error_and_variants_cost_visitors(self):
        plain = sample_size(0.1, 0.02)
        counted = sample_size(0.1, 0.02, relative_error=SHARDS_64)
        four = sample_size(0.1, 0.02, variants=4)
        assert counted.fixed_horizon.per_variant > plain.fixed_horizon.per_variant
        assert counted.always_valid.per_variant > counted.fixed_horizon.per_variant
        assert (
            four.fixed_horizon.per_variant
            == sample_size(0.1, 0.02, alpha=0.05 / 3).fixed_horizon.per_variant
        )
        assert four.fixed_horizon.total == 4 * four.fixed_horizon.per_variant

    def test_a_lift_below_the_counting_error_is_never_found(self):
        found = sample_size(0.5, 0.02, relative_error=ONE_SHARD)
        assert (found.fixed_horizon, found.always_valid) == (None, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"rate": 0},
            {"rate": 1.2},
            {"lift": 0},
            {"lift": -1},
            {"lift": 20},
            {"variants": 1},
            {"power": 0.01},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(ValueError):
            sample_size(**{"rate": 0.1, "lift": 0.1} | wrong)

    def test_an_alpha_without_a_quantile_is_named(self):
        with pytest.raises(ValueError, match="alpha below power and at least 1e-9"):
            sample_size(0.1, 0.1, alpha=1e-300)


class TestAgainstPublishedFigures:
    def test_power(self):
        theirs = [0.073, 0.0965, 0.1204, 0.14458, 0.16895]
        ours = [power(0.1, 0.05, 1500 * week) for week in range(1, 6)]
        assert ours == pytest.approx(theirs, rel=0.025)


def test_sample_size() -> None:
    """Evan Miller's example, in the unpooled form 1,091; here the log of the ratio is tested."""
    printed = said(
        run("sample-size", "--rate", "0.2", "--lift", "0.25", "--visitors-per-day", "99")
    )
    assumed, planned, fixed, free = printed.splitlines()
    assert assumed == "From 20 % to 25 %, a lift of +25 %: power 80 %, alpha 5 %, 2 variants"
    need = sample_size(0.2, 0.25, relative_error=0.0081 / 8)
    assert need.planned
    assert need.fixed_horizon
    assert need.always_valid
    assert 1030 < need.fixed_horizon.per_variant < 1200
    assert need.fixed_horizon.total == 2 * need.fixed_horizon.per_variant
    for line, start, found in (
        (planned, "With this as the plan", need.planned),
        (fixed, "One look, at the end", need.fixed_horizon),
        (free, "Without a plan", need.always_valid),
    ):
        days = -(-found.total // 99)
        assert line.startswith(start)
        assert line.endswith(
            f"  {found.per_variant:,} visitors per variant, {found.total:,} in total, {days} days"
        )
    assert need.always_valid.total > need.planned.total > need.fixed_horizon.total


def test_sample_size_without_visitors_a_day_names_no_days() -> None:
    assert "days" not in said(run("sample-size", "--rate", "0.2", "--lift", "0.25"))


def test_more_of_everything_needs_more_visitors() -> None:
    def visitors(*more: str) -> int:
        printed = said(run("sample-size", "--rate", "0.1", "--lift", "0.1", *more))
        return int(printed.splitlines()[2].split(" in total")[0].split()[-1].replace(",", ""))

    least = visitors()
    options = [("--power", "0.9"), ("--alpha", "0.01"), ("--variants", "3"), ("--shards", "1")]
    assert all(visitors(*more) > least for more in options)
    assert visitors("--shards", "1024") < least
    assert visitors("--lift", "-0.2") < least


def test_a_lift_that_the_counters_hide() -> None:
    small = ("sample-size", "--rate", "0.1", "--lift", "0.01")
    printed = said(run(*small, "--shards", "1"))
    assert printed.count("no number is enough") == 3
    assert "no number" not in said(run(*small, "--shards", "1024"))


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rate", "0"),
        ("--rate", "1"),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--lift", "0"),
        ("--lift", "9.5"),
        ("--lift", "-1"),
        ("--lift", "nan"),
        ("--power", "0"),
        ("--power", "1"),
        ("--power", "0.05"),
        ("--power", "nan"),
        ("--alpha", "0"),
        ("--alpha", "1"),
        ("--alpha", "nan"),
        ("--alpha", "1e-300"),
        ("--variants", "1"),
        ("--variants", "-1"),
        ("--shards", "0"),
        ("--shards", "2000"),
        ("--visitors-per-day", "0"),
        ("--rate", "many"),
    ],
)
def test_impossible_designs(wrong: tuple[str, str]) -> None:
    result = run("sample-size", "--rate", "0.1", "--lift", "0.05", *wrong)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert usage[0].startswith("Usage: ")
    assert line.startswith("Error: ")


class TestSave:
    def declare(self, url: str, *more: str) -> None:
        names = ("--variant", "blue", "--variant", "red", "--goal", "signup:primary")
        assert said(run("create", "e", *names, *more, "--url", url))

    def save(self, url: str) -> tuple[int, str]:
        result = run("sample-size", "--rate", "0.2", "--lift", "0.25", "--save", "e", "--url", url)
        return result.exit_code, result.output

    def test_it_becomes_the_plan(self, url: str) -> None:
        self.declare(url)
        need = sample_size(0.2, 0.25, relative_error=SHARDS_64).planned
        assert need
        code, printed = self.save(url)
        assert code == 0, printed
        assert "2 variants\n" in printed
        assert printed.splitlines()[-1] == f"e: planned for {need.total:,} visitors."
        assert BackendClient(url).experiment("e")["plan"]["visitors"] == need.total

    def test_it_corrects_for_the_variants_and_primary_goals(self, url: str) -> None:
        self.declare(url, "--variant", "green", "--goal", "paid:primary", "--goal", "share")
        code, printed = self.save(url)
        assert code == 0, printed
        assert "3 variants, 2 primary goals\n" in printed
        need = sample_size(0.2, 0.25, variants=3, primary_goals=2, relative_error=SHARDS_64)
        assert need.planned
        assert BackendClient(url).experiment("e")["plan"]["visitors"] == need.planned.total

    def test_after_the_first_event_the_backend_refuses_it(self, url: str) -> None:
        self.declare(url)
        BackendClient(url).track("e", "blue", "participate", "1")
        code, printed = self.save(url)
        assert code == 1
        assert "planned_visitors cannot change after the first event" in printed
        assert BackendClient(url).experiment("e")["plan"] is None

    def test_it_needs_a_declared_experiment(self, url: str) -> None:
        BackendClient(url).track("e", "blue", "participate", "1")
        code, printed = self.save(url)
        assert code == 1
        assert "e is not declared: `gimel create` declares it" in printed

    def test_unequal_weights_are_refused(self, url: str) -> None:
        names = ("--variant", "blue=9", "--variant", "red=1", "--goal", "signup")
        assert said(run("create", "e", *names, "--url", url))
        code, printed = self.save(url)
        assert code == 1
        assert "unequal weights" in printed


def test_the_plan_has_the_power_of_its_final_look() -> None:
    need = sample_size(0.1, 0.05, relative_error=SHARDS_64).planned
    assert need
    assert power(0.1, 0.05, need.per_variant, 0.04, SHARDS_64) == pytest.approx(0.8, abs=1e-4)
