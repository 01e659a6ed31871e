"""One tool in a process of its own: runs a batch of calls whenever a line comes in, or the cases."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import _ai_canned, _ai_cases, _ai_tools

# Seconds of a call's time are not part of this: nothing waits for a network here.
KINDS = ("chat", "chat, async", "stream of 50 chunks")
_WORDS = 50


def _client_module() -> Any:
    import openai

    base = openai.DefaultHttpxClient.__mro__
    return sys.modules[
        next(kind.__module__ for kind in base if kind.__module__.startswith("httpx")).split(".")[0]
    ]


def batches(calls: int) -> dict[str, Callable[[], None]]:
    """Return what makes so many calls, by kind."""
    import openai

    httpx = _client_module()
    chat, chat_async = _ai_canned.transport(httpx, _ai_canned.ASK, 20)
    stream, _ = _ai_canned.transport(httpx, _ai_canned.STREAM, _WORDS)
    whole = openai.OpenAI(api_key="none", http_client=httpx.Client(transport=chat))
    streaming = openai.OpenAI(api_key="none", http_client=httpx.Client(transport=stream))
    waiting = openai.AsyncOpenAI(api_key="none", http_client=httpx.AsyncClient(transport=chat_async))
    loop = asyncio.new_event_loop()

    def sync_calls() -> None:
        for _ in range(calls):
            whole.chat.completions.create(**_ai_canned.ASK)

    def streams() -> None:
        for _ in range(max(1, calls // 5)):
            for _chunk in streaming.chat.completions.create(**_ai_canned.STREAM):
                pass

    async def all_async() -> None:
        for _ in range(calls):
            await waiting.chat.completions.create(**_ai_canned.ASK)

    return dict(zip(KINDS, (sync_calls, lambda: loop.run_until_complete(all_async()), streams), strict=True))


def main(name: str, calls: int) -> None:
    """Answer each line on standard input, a kind of call, with nanoseconds of CPU time of one call."""
    read = _ai_tools.switch_on(name)
    made = batches(calls)
    for run in made.values():
        run()
    gc.collect()
    gc.freeze()
    print(json.dumps(_ai_tools.Totals(read())), flush=True)
    for line in sys.stdin:
        kind = line.strip()
        if kind == "cases":
            print(json.dumps(_ai_cases.run(read)), flush=True)
            continue
        number = calls if kind != KINDS[2] else max(1, calls // 5)
        started = time.process_time_ns()  # of all threads
        made[kind]()
        print((time.process_time_ns() - started) / number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
