"""What Grafana knows by name: units, reducers, transformations, and panels that it no longer has."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNITS = _words(
    """
acres candela hectares mohm mwatth recpm rotghz rotkhz rotmhz
Bps EHs GBs GHs Gbits GiBs Gibits Hs KBs KHs Kbits KiBs Kibits MBs MHs Mbits MiBs Mibits Mohm Nm3
PBs PHs Pbits PiBs Pibits TBs THs Tbits TiBs Tibits Wm2 accFS2 accG accMS2 amp amph arcmin arcsec
areaF2 areaM2 areaMI2 binBps binbps bits bool bool_on_off bool_yes_no bps bytes celsius clockms
clocks congNm3 congm3 conmgNm3 conmgdL conmgm3 conmmolL conngNm3 conngm3 conppb conμgNm3 conμgm3 cpm
cps d dB dBm dateTimeAsIso dateTimeAsIsoNoDateIfToday dateTimeAsLocal dateTimeAsLocalNoDateIfToday
dateTimeAsSystem dateTimeAsUS dateTimeAsUSNoDateIfToday dateTimeFromNow decbits decbytes decgbytes
deckbytes decmbytes decpbytes dectbytes degree dm3 dtdhms dtdurationms dtdurations dthms eflops epm
eps ev fahrenheit farad ffarad flops flowcfm flowcfs flowcms flowgpm flowlpm flowmlpm forceN forceNm
forcekN forcekNm gallons gbytes gflops grad gwatt h henry hertz hex hex0x humidity iops joule kamp
kamph kbytes kelvin kohm kvolt kvoltamp kvoltampreact kwatt kwatth kwattm lengthft lengthin lengthkm
lengthm lengthmi lengthmm litre litreh locale lumens lux m m3 mamp mamph massg masskg masslb massmg
masst mbytes megwatt mflops mhenry mlitre mpm mps ms mvolt mwatt nfarad none ns ohm opm ops pbytes
percent percentunit pfarad pflops pixel ppm pps pressurebar pressurehg pressurehpa pressurekbar
pressurekpa pressurembar pressurepa pressurepsi radbq radci radexpckg radgy radian radmsv radmsvh
radr radrad radrem radsv radsvh radusv radusvh recps reqpm reqps rotdegs rothz rotrads rotrpm rowspm
rowsps rpm rps s sci short sishort string tbytes tflops timeticks velocitykmh velocityknot
velocitymph velocityms volt voltamp voltampreact watt watth watthperkg wpm wps yflops zflops µfarad
µhenry µs
"""
)
# Texts before or behind the number, scales and times of one's own, and money.
FREE_UNITS = re.compile(r"(prefix|suffix|si|count|time|currency|bool):.+|currency[a-zμ]?[A-Z]{3,4}")

_PERCENTILES = {f"p{number}" for number in range(1, 100)}
REDUCERS = _PERCENTILES | _words(
    """
lastNotNull last firstNotNull first min max mean median variance stdDev sum count range delta step diff
logmin allIsZero allIsNull changeCount distinctCount diffperc allValues uniqueValues countAll
"""
)
TRANSFORMATIONS = _words(
    """
append calculateField concatenate configFromData convertFieldType convertFrameType ensureColumns extractFields
fieldLookup filterByRefId filterByValue filterFields filterFieldsByName filterFrames formatString formatTime
groupBy groupToNestedTable groupingToMatrix heatmap histogram joinByField joinByLabels labelsToFields limit
merge noop order organize partitionByValues prepareTimeSeries reduce regression rename renameByRegex
rowsToFields seriesToColumns seriesToRows smoothing sortBy spatial timeSeriesTable transpose
"""
)
# They were written for Angular, which Grafana left with version 11.
GONE_PANELS = {
    "graph": "timeseries",
    "singlestat": "stat",
    "table-old": "table",
    "grafana-piechart-panel": "piechart",
}
