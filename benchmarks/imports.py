"What an import costs, in a fresh interpreter each time, less the interpreter's own start."
import statistics, subprocess, sys, time
from measure import save


def seconds(code, repeats=9):
    out = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, '-c', code], check=True)
        out.append(time.perf_counter() - start)
    return statistics.median(out)


bare = seconds('pass')
modules = ('inspectkit', 'inspectkit.runs', 'inspectkit.train', 'torch')
save('imports', {'seconds': {f'import {m}': seconds(f'import {m}') - bare for m in modules}})
