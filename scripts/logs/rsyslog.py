"""rsyslog: from the files to Elasticsearch, with a queue on disk while that is away."""

from urllib.parse import urlsplit

from scripts.logs.loki import written
from scripts.logs.policy import Policy


def config(policy: Policy, spool: str = "/var/spool/rsyslog") -> str:
    """A file for /etc/rsyslog.d; it needs the packages rsyslog and rsyslog-elasticsearch.

    `spool` is rsyslog's own work directory, where the queue is, and what the server has refused for good.
    """
    where = urlsplit(policy.elasticsearch)
    port = where.port or (443 if where.scheme == "https" else 9200)
    tls = 'usehttps="on"' if where.scheme == "https" else 'usehttps="off"'
    others = ", ".join(f'"{name}"' for name in policy.retention_days if name != "production")
    time, level, message, event = (
        written(policy, name) for name in ("timestamp", "level", "message", "event_id")
    )
    return f"""\
# The longest line of an application is 32 kB.
global(maxMessageSize="64k")

module(load="imfile")
module(load="mmjsonparse")
module(load="omelasticsearch")

input(type="imfile" file="{policy.files}" tag="watchkeeper:" ruleset="watchkeeper"
      reopenOnTruncate="on" persistStateInterval="1000")

template(name="watchkeeper-index" type="string" string="logs-{policy.dataset}.%$.class%-{policy.namespace}")
template(name="watchkeeper-id" type="string" string="%$.id%")
template(name="watchkeeper-line" type="string" string="%$.line%")

# What a supervisor writes is no JSON: it becomes a line of its own.
template(name="watchkeeper-again" type="string" string="%$!all-json-plain%")

# What a supervisor writes is no JSON: it becomes a line of its own. (Not by option.jsonf, which ends in a
# line feed, and so in a broken request.)
template(name="watchkeeper-plain" type="list") {{
  constant(value="{{")
  property(outname="{time}" name="timereported" dateFormat="rfc3339" date.inUTC="on" format="jsonf")
  constant(value=",\\"{level}\\":\\"INFO\\",\\"log_class\\":\\"production\\",")
  property(outname="{event}" name="$.id" format="jsonf")
  constant(value=",")
  property(outname="{message}" name="$.text" format="jsonf")
  constant(value="}}")
}}

ruleset(name="watchkeeper") {{
  action(type="mmjsonparse" cookie="")
  if $parsesuccess == "OK" then {{
    set $.id = $!{event};
    set $.line = $msg;
    # Only the names that are known, for the line makes the name of an index.
    if $!log_class == [{others}] then {{
      set $.class = $!log_class;
    }} else {{
      set $.class = "production";
    }}
  }} else {{
    set $.text = $msg;
    set $.id = $uuid;
    set $.class = "production";
    set $.line = exec_template("watchkeeper-plain");
  }}
  call watchkeeper-send
}}

ruleset(name="watchkeeper-send") {{
  action(type="omelasticsearch"
         server="{where.hostname}" serverport="{port}" {tls}
         searchIndex="watchkeeper-index" dynSearchIndex="on" searchType=""
         # Data streams take nothing else; with an id, a line that is sent twice is kept once.
         writeoperation="create" bulkid="watchkeeper-id" dynbulkid="on"
         template="watchkeeper-line" bulkmode="on" maxbytes="10m"
         # What the server refuses for now comes again; what it refuses for good is kept to be looked at.
         retryfailures="on" retryruleset="watchkeeper-again"
         errorfile="{spool}/watchkeeper-refused.json"
         queue.type="LinkedList" queue.filename="watchkeeper" queue.maxDiskSpace="2g"
         queue.size="20000" queue.dequeueBatchSize="500" queue.saveOnShutdown="on" queue.timeoutEnqueue="-1"
         queue.timeoutShutdown="5000" queue.timeoutActionCompletion="5000"
         action.resumeRetryCount="-1" action.resumeInterval="5")
}}

# A line that was refused for now comes back as its fields, with what the request said of it.
ruleset(name="watchkeeper-again") {{
  set $.id = $.omes!_id;
  set $.line = exec_template("watchkeeper-again");
  if $!log_class == [{others}] then {{
    set $.class = $!log_class;
  }} else {{
    set $.class = "production";
  }}
  call watchkeeper-send
}}
"""
