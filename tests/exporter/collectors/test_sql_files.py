"""The files of SQL metrics: where they may stand, and what is said of a faulty one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from exporter.collectors import sql as collector
from tests.exporter.collectors.sql_files import gauge, write

BAD = Path(__file__).with_name("bad_sql")

MESSAGES = {
    "unknown_key.yml": [
        "5: metrics.0.querry: unknown key; the keys are name, help, type, labels, value, values,",
        "2: metrics.0.query: is missing",
    ],
    "unknown_key_in_a_query.yml": [
        "3: queries.0.label: unknown key; the keys are query, interval, timeout, rows, series, name, metrics",
        "6: queries.0.metrics.0.query: unknown key; the keys are name, help, type, labels, value, values,",
    ],
    "unknown_section.yml": ["1: metric: unknown key; the keys are metrics, queries"],
    "labels_not_a_list.yml": ["7: metrics.0.labels: Input should be a valid list"],
    "counter_without_total.yml": [
        "2: metrics.0: metric 'business_things': counters, and only counters, end in _total"
    ],
    "help_not_a_sentence.yml": ["2: metrics.0: metric 'business_things': help must be a sentence"],
    "name_twice.yml": [f"6: the metric a_things stands already in {BAD}/name_twice.yml:2"],
    "name_twice_in_a_query.yml": [
        f"8: the metric a_things stands already in {BAD}/name_twice_in_a_query.yml:5",
        f"11: the name things stands already in {BAD}/name_twice_in_a_query.yml:2",
    ],
    "key_twice.yml": ["4: the key 'metrics.0.help' stands here a second time"],
    "open_quote.yml": ["3: is not valid YAML: found unexpected end of stream"],
    "a_list.yml": ["1: must have keys of its own"],
    "wrong_type.yml": ["4: metrics.0.type: Input should be 'gauge' or 'counter'"],
    "interval_not_a_number.yml": ["6: metrics.0.interval: Input should be a valid number"],
    "loop.yml": ["1: contains itself, by an alias"],
    "impossible_date.yml": ["6: is no valid timestamp; text that looks like one needs quotes"],
    "nested_too_deeply.yml": [" is not valid YAML: it is nested too deeply"],
    "empty.yml": ["1: must have keys of its own"],
    "nothing.yml": ["1: has neither metrics nor queries"],
    "no_query.yml": ["5: metrics.0.query: must be one query, beginning with select, with, values or table"],
    "query_name.yml": ["2: queries.0.name: name a query by small letters, digits and '_'"],
    "value_and_values.yml": [
        "2: metrics.0: give either value or values",
        "9: metrics.1: values and value_label go together",
        "14: metrics.2: the column 'kind' cannot be both label and value",
        "20: metrics.3: metric 'd_things': a label is named twice",
        "27: metrics.4: a column stands twice in values",
    ],
    "too_much.yml": [
        "6: metrics.0.rows: Input should be less than or equal to 10000",
        "7: metrics.0.series: Input should be greater than or equal to 1",
        "8: metrics.0.timeout: Input should be greater than 0",
    ],
}


def problems(**settings: object) -> list[str]:
    """What is said of settings that do not do."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn="postgresql://db/x", **settings)
    return [line for each in caught.value.errors() for line in each["msg"].split(", ", 1)[-1].splitlines()]


@pytest.mark.parametrize("name", sorted(path.name for path in BAD.iterdir()))
def test_a_bad_file_is_refused_with_file_line_and_key(name: str):
    """A fault in the file is an error of the configuration that says where it stands."""
    with pytest.raises(ValidationError) as caught:
        collector.Settings(dsn="postgresql://db/x", file=BAD / name)
    (problem,) = caught.value.errors()
    lines = problem["msg"].removeprefix("Value error, ").splitlines()
    assert len(lines) == len(MESSAGES[name]), lines
    for line, text in zip(sorted(lines), sorted(MESSAGES[name]), strict=True):
        assert line.startswith(f"{BAD / name}:{text}")


def test_a_missing_file_is_refused():
    """A wrong path, or a pattern that fits nothing, is told at the start and not at the first scrape."""
    assert problems(file="nowhere.yml") == ["nowhere.yml: cannot be read: No such file or directory"]
    assert problems(file="nowhere/*.yml") == ["nowhere/*.yml: no such file"]
    assert problems(file=[])


def test_several_files_stand_side_by_side(tmp_path):
    """A list, a pattern and the shipped sets together; a file named twice is read once."""
    first = write(tmp_path / "a.yml", gauge("own_a", "select 1 as value"))
    write(tmp_path / "b.yml", gauge("own_b", "select 2 as value"))
    settings = collector.Settings(dsn="postgresql://db/x", file=["flags", tmp_path / "*.yml", first])
    assert [query.name for query in settings.queries] == [
        "feature_flags",
        "feature_flag_evaluations",
        "own_a",
        "own_b",
    ]
    assert collector.chosen_names(settings) == {
        "own_a": f"{tmp_path}/a.yml:2",
        "own_b": f"{tmp_path}/b.yml:2",
    }


def test_the_faults_of_all_files_are_told_at_once(tmp_path):
    """Nobody mends one file to hear of the next; a metric of two files names both."""
    bad = tmp_path / "bad.yml"
    bad.write_text("metrics: 5\n")
    write(tmp_path / "a.yml", gauge("own_a", "select 1 as value"))
    write(tmp_path / "b.yml", gauge("own_a", "select 1 as value"))
    shipped = Path(collector.__file__).with_name("flags.yml")
    line = shipped.read_text().split("name: feature_flag_enabled")[0].count("\n") + 1
    write(tmp_path / "c.yml", gauge("feature_flag_enabled", "select 1 as value"))
    assert sorted(problems(file=["flags", bad, *(tmp_path / f"{name}.yml" for name in "abc")])) == [
        f"{tmp_path}/b.yml:2: the metric own_a stands already in {tmp_path}/a.yml:2",
        f"{tmp_path}/bad.yml:1: metrics: Input should be a valid list",
        f"{tmp_path}/c.yml:2: the metric feature_flag_enabled stands already in {shipped}:{line}",
    ]


def test_what_was_checked_is_what_runs(tmp_path):
    """A file that changes behind the exporter's back waits for the next reading of the settings."""
    path = write(tmp_path / "a.yml", gauge("own_a", "select 1 as value"))
    settings = collector.Settings(dsn="postgresql://db/x", file=path)
    path.write_text("spoilt")
    assert [part.name for part in collector.parts(settings)] == ["own_a"]


def test_comments_and_brackets_may_stand_before_a_query(tmp_path):
    """What makes a query is its first word."""
    for number, start in enumerate(("-- why\n", "/* why */ ", "((", "  \n")):
        path = write(tmp_path / f"{number}.yml", gauge("own_a", f"{start}SELECT 1 as value"))
        assert collector.Settings(dsn="postgresql://db/x", file=path).queries
