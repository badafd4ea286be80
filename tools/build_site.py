"Build the website into _site/ (`make site`): with Quarto where it is installed, else a preview with smalldocs."
import os, shutil, subprocess, sys
from pathlib import Path
from reports import stale
from inspectkit.runs import repo_root

BIN = Path(sys.executable).parent

if __name__ == '__main__':
    root = repo_root()
    env = os.environ | dict(QUARTO_PYTHON=sys.executable, PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}") # for pages.py
    quarto = shutil.which('quarto')
    if quarto: subprocess.run([sys.executable, root/'tools'/'pages.py'], cwd=root, env=env, check=True) # pages to find
    call = [quarto, 'render', root] if quarto else [BIN/'smalldocs', 'render', root]
    done = subprocess.run(call, cwd=root, env=env)
    if done.returncode: sys.exit(done.returncode)
    if not quarto: print('This is a preview: Quarto is not installed. What it lacks: pages/run.qmd, "The preview".')
    for line in stale(root).values(): print(f'out of date: {line} (`make reports`)')
    print(f"built {root/'_site'/'index.html'}")
