"""What the hardware says of itself: temperatures, fans, voltages, speed of processors, broken memory."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from exporter.catalog import Metric, Sample
from exporter.collectors.host._metric import counter, gauge
from exporter.collectors.host._tree import Tree

ZONE_TEMP = gauge("node_thermal_zone_temp", "Temperature in degrees Celsius.", "zone", "type")
COOLING_NOW = gauge("node_cooling_device_cur_state", "How hard a cooling device works.", "name", "type")
COOLING_MAX = gauge("node_cooling_device_max_state", "How hard it can work.", "name", "type")
_SENSOR = ("chip", "sensor")
TEMP = gauge("node_hwmon_temp_celsius", "Temperature in degrees Celsius.", *_SENSOR)
TEMP_MAX = gauge("node_hwmon_temp_max_celsius", "Temperature that should not be passed.", *_SENSOR)
TEMP_CRIT = gauge("node_hwmon_temp_crit_celsius", "Temperature that does harm.", *_SENSOR)
TEMP_CRIT_ALARM = gauge("node_hwmon_temp_crit_alarm_celsius", "1 while that is passed, else 0.", *_SENSOR)
FAN = gauge("node_hwmon_fan_rpm", "Turns of a fan in a minute.", *_SENSOR)
FAN_MIN = gauge("node_hwmon_fan_min_rpm", "Turns that it should have at least.", *_SENSOR)
FAN_ALARM = gauge("node_hwmon_fan_alarm", "1 while something is wrong with a fan, else 0.", *_SENSOR)
VOLTAGE = gauge("node_hwmon_in_volts", "Voltage.", *_SENSOR)
POWER = gauge("node_hwmon_power_watt", "Power in watts.", *_SENSOR)
POWER_AVERAGE = gauge("node_hwmon_power_average_watt", "Mean power in watts.", *_SENSOR)
SENSOR_LABEL = gauge(
    "node_hwmon_sensor_label", "Always 1; the label is the sensor's own name.", *_SENSOR, "label"
)
CHIP_NAMES = gauge(
    "node_hwmon_chip_names", "Always 1; the label is the chip's own name.", "chip", "chip_name"
)
FREQUENCY = gauge("node_cpu_scaling_frequency_hertz", "Speed of a processor now.", "cpu")
FREQUENCY_MIN = gauge("node_cpu_scaling_frequency_min_hertz", "Least speed that it is allowed.", "cpu")
FREQUENCY_MAX = gauge("node_cpu_scaling_frequency_max_hertz", "Greatest speed that it is allowed.", "cpu")
CORE_THROTTLES = counter(
    "node_cpu_core_throttles_total", "Times that a core was slowed down for its heat.", "package", "core"
)
PACKAGE_THROTTLES = counter(
    "node_cpu_package_throttles_total",
    "Times that a whole processor was slowed down for its heat.",
    "package",
)
CORRECTABLE = counter(
    "node_edac_correctable_errors_total",
    "Memory errors that were put right; many mean a bad module.",
    "controller",
)
UNCORRECTABLE = counter(
    "node_edac_uncorrectable_errors_total", "Memory errors that could not be put right.", "controller"
)

_CPUFREQ = (
    (FREQUENCY, "scaling_cur_freq"),
    (FREQUENCY_MIN, "scaling_min_freq"),
    (FREQUENCY_MAX, "scaling_max_freq"),
)
# Kind of sensor and property, as the file is called: the metric, and what the number is divided by.
_HWMON: dict[tuple[str, str], tuple[Metric, float]] = {
    ("temp", "input"): (TEMP, 1e3),
    ("temp", "max"): (TEMP_MAX, 1e3),
    ("temp", "crit"): (TEMP_CRIT, 1e3),
    ("temp", "crit_alarm"): (TEMP_CRIT_ALARM, 1e3),
    ("fan", "input"): (FAN, 1),
    ("fan", "min"): (FAN_MIN, 1),
    ("fan", "alarm"): (FAN_ALARM, 1),
    ("in", "input"): (VOLTAGE, 1e3),
    ("power", "input"): (POWER, 1e6),
    ("power", "average"): (POWER_AVERAGE, 1e6),
}
_FILE = re.compile(r"([a-z]+)(\d+)_(.+)")


# Looking for sensors takes longer than reading them; what is plugged in is found so many seconds later.
_LOOK_EVERY = 60.0


class Reading(NamedTuple):
    """A series, the file below /sys that has its number, and what that is multiplied and divided by."""

    metric: Metric
    labels: tuple[str, ...]
    file: str
    factor: float = 1
    divisor: float = 1


class Found:
    """The sensors of this machine, looked for now and then."""

    def __init__(self) -> None:
        self._known: list[Reading | Sample] = []
        self._until = 0.0

    def none(self, now: float) -> bool:
        """Whether there are none, and it is not yet time to look again."""
        return now < self._until and not self._known

    def known(self, tree: Tree, now: float) -> list[Reading | Sample]:
        """Return what there is."""
        if now >= self._until:
            self._known = [*_thermal(tree), *_hwmon(tree), *_processors(tree), *_memory(tree)]
            self._until = now + _LOOK_EVERY
        return self._known


def read(tree: Tree, found: Found, now: float) -> Iterator[Sample]:
    """Yield what there is; a virtual machine has none of it. `now` is in seconds of a steady clock."""
    for each in found.known(tree, now):
        if isinstance(each, Sample):
            yield each
        elif (number := tree.number(each.file)) is not None:
            yield Sample(each.metric, each.labels, number * each.factor / each.divisor)


def _thermal(tree: Tree) -> Iterator[Reading]:
    folder = "class/thermal"
    for zone in tree.listed(folder, "thermal_zone"):
        labels = (zone.removeprefix("thermal_zone"), tree.sys(f"{folder}/{zone}/type"))
        yield Reading(ZONE_TEMP, labels, f"{folder}/{zone}/temp", divisor=1e3)
    for device in tree.listed(folder, "cooling_device"):
        labels = (device.removeprefix("cooling_device"), tree.sys(f"{folder}/{device}/type"))
        yield Reading(COOLING_NOW, labels, f"{folder}/{device}/cur_state")
        yield Reading(COOLING_MAX, labels, f"{folder}/{device}/max_state")


def _hwmon(tree: Tree) -> Iterator[Reading | Sample]:
    for folder in tree.listed("class/hwmon"):
        yield from _chip(tree, f"class/hwmon/{folder}")


def _chip(tree: Tree, folder: str) -> Iterator[Reading | Sample]:
    chip = _chip_name(tree, folder)
    if name := tree.sys(f"{folder}/name"):
        yield CHIP_NAMES.sample(1, chip=chip, chip_name=_clean(name))
    for file in tree.listed(folder):
        if (parts := _FILE.fullmatch(file)) is None:
            continue
        kind, number, what = parts.groups()
        sensor = kind + number
        if what == "label":
            yield SENSOR_LABEL.sample(1, chip=chip, sensor=sensor, label=tree.sys(f"{folder}/{file}"))
        elif known := _HWMON.get((kind, what)):
            metric, divisor = known
            yield Reading(metric, (chip, sensor), f"{folder}/{file}", divisor=divisor)


def _chip_name(tree: Tree, folder: str) -> str:
    """The bus and the device that the chip belongs to: `platform_coretemp_0`; that stays, numbers do not."""
    if path := tree.real(f"{folder}/device"):
        bus, device = path.split("/")[-2:]
        return f"{_clean(bus)}_{_clean(device)}"
    return _clean(tree.sys(f"{folder}/name")) or folder.rpartition("/")[2]


def _clean(name: str) -> str:
    return re.sub(r"[^a-z0-9:_]", "_", name.strip().lower()).strip("_")


def _processors(tree: Tree) -> Iterator[Reading]:
    throttles: dict[tuple[Metric, tuple[str, ...]], Reading] = {}  # threads of one core tell the same
    for cpu in tree.listed("devices/system/cpu", "cpu"):
        folder, number = f"devices/system/cpu/{cpu}", cpu.removeprefix("cpu")
        if not number.isdecimal():
            continue
        for metric, file in _CPUFREQ:
            if tree.sys(f"{folder}/cpufreq/{file}"):
                yield Reading(metric, (number,), f"{folder}/cpufreq/{file}", factor=1e3)  # kilohertz
        package, core = (tree.sys(f"{folder}/topology/{name}") for name in ("physical_package_id", "core_id"))
        for metric, labels, file in (
            (CORE_THROTTLES, (package, core), "core_throttle_count"),
            (PACKAGE_THROTTLES, (package,), "package_throttle_count"),
        ):
            path = f"{folder}/thermal_throttle/{file}"
            if tree.sys(path):
                throttles.setdefault((metric, labels), Reading(metric, labels, path))
    yield from throttles.values()


def _memory(tree: Tree) -> Iterator[Reading]:
    folder = "devices/system/edac/mc"
    for controller in tree.listed(folder, "mc"):
        labels = (controller.removeprefix("mc"),)
        yield Reading(CORRECTABLE, labels, f"{folder}/{controller}/ce_count")
        yield Reading(UNCORRECTABLE, labels, f"{folder}/{controller}/ue_count")
