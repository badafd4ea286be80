"""How much memory an inspection takes, by the number of images: a lot of thousands is to need hardly more than one of
hundreds. An untrained network looks at solar cells; the largest resident size that the kernel's process reaches counts.
"""
import subprocess, sys, tempfile, time
from pathlib import Path
import psutil
from measure import save
from inspectkit.data import root_of

FEW, MANY = 250, 2500


def inspection(n):
    "Largest resident size in MB of the processes below papermill, seconds by the clock, files looked at."
    with tempfile.TemporaryDirectory() as there:
        line = [Path(sys.executable).with_name('papermill'), 'nbs/run_inspect.ipynb', Path(there)/'out.ipynb',
                '-p', 'images', root_of('elpv')/'images', '-p', 'n_images', n, '-p', 'study', 'smoke']
        started, most = time.perf_counter(), 0
        p = subprocess.Popen([str(a) for a in line], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        while p.poll() is None:
            for c in psutil.Process(p.pid).children(recursive=True):
                try: most = max(most, c.memory_info().rss)
                except psutil.Error: pass # it has ended
            time.sleep(.05)
        assert p.returncode == 0
        return dict(images=n, MB=most/1e6, seconds=time.perf_counter() - started)


few, many = inspection(FEW), inspection(MANY)
save('inspect_memory', dict(few=few, many=many, ratio_of_memory=many['MB']/few['MB'],
                            MB_a_thousand_images=(many['MB'] - few['MB'])/(MANY - FEW)*1000))
