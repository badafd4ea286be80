"Snakemake's log as one bar: runs done, running and failed, and the time left by what earlier runs took."
import sys, threading, time
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from tqdm import tqdm

expected = {} # name of a run: minutes; the Snakefile fills it


class LogHandler(LogHandlerBase):
    writes_to_stream, writes_to_file, has_filter, has_formatter, needs_rulegraph = True, False, True, True, False

    def __post_init__(self):
        self.names, self.started, self.ended, self.failed, self.bar = {}, {}, set(), 0, None

    def left(self):
        "Minutes: what runs now takes the rest of what it is expected to take, what waits shares as many places."
        now = time.monotonic()
        running = [max(0, expected.get(n, 0) - (now - s)/60) for n, s in self.started.items() if n not in self.ended]
        waiting = sum(m for n, m in expected.items() if n not in self.started)
        return max([(sum(running) + waiting)/max(1, len(running)), *running])

    def show(self):
        running = len(self.started) - len(self.ended)
        done = len(self.ended) - self.failed
        text = f'{done} of {len(expected)} done, {running} running, {self.failed} failed'
        text += f', about {self.left():.0f} min left'
        if not sys.stderr.isatty(): return print(text, file=sys.stderr, flush=True)
        if self.bar is None:
            self.bar = tqdm(total=len(expected), bar_format='{desc} |{bar}| {elapsed}', dynamic_ncols=True)
            threading.Thread(target=self.tick, daemon=True).start()
        self.bar.n = len(self.ended)
        self.bar.set_description_str(text)

    def tick(self):
        while self.bar.n < self.bar.total:
            time.sleep(5)
            self.show()

    def emit(self, record):
        event, got = getattr(record, 'event', None), vars(record)
        if event == LogEvent.JOB_INFO and got.get('wildcards'): # `all` has none
            name = dict(got['wildcards'])['name']
            self.names[got['jobid']] = name
            self.started[name] = time.monotonic()
        elif event == LogEvent.JOB_FINISHED and got['job_id'] in self.names: self.ended.add(self.names[got['job_id']])
        elif event == LogEvent.JOB_ERROR and self.names.get(got['jobid']) not in {None, *self.ended}:
            self.ended.add(self.names[got['jobid']])
            self.failed += 1
            if got.get('rule_msg'): print(got['rule_msg'], file=sys.stderr) # a cluster's own words
        elif event == LogEvent.ERROR or (event is None and record.levelname in ('ERROR', 'CRITICAL')):
            return self.say(record)
        else: return
        self.show()

    def say(self, record):
        "Snakemake's own errors, but for what the report says of each run at the end."
        text = record.getMessage()
        if vars(record).get('exception') == 'CalledProcessError': return
        if any(known in text for known in ('CalledProcessError', 'a job execution failed', 'did not complete')): return
        print(text, vars(record).get('traceback') or '', file=sys.stderr)
