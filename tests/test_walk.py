"The walk-through: its folder is the same whenever it is made, its runs are there and were made by code in a commit."
import csv, hashlib, json, sys
import pytest
from PIL import Image
from inspectkit.data import root_of


def test_the_folder_is_the_same_again(root, tmp_path, monkeypatch):
    if not root_of('fastener').is_dir(): pytest.skip('needs the set fastener')
    monkeypatch.syspath_prepend(root/'tools')
    monkeypatch.setattr(sys, 'argv', ['walk'])
    monkeypatch.chdir(tmp_path)
    import walk
    def made():
        walk.photograph()
        files = sorted(f for f in walk.TOP.rglob('*') if f.is_file())
        return {f.as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    first = made()
    assert first == made() and len(first) > 60
    old, new = ({f.rpartition('/')[2].partition('-T')[0] for f in first if there in f} for there in ('撮影済み', '新着'))
    assert len({p for p in new - old if p[0] != 'D'} & {'Nut_Black', 'Washer_Black'}) == 2 # types that come later only


def test_each_step_left_its_run(root):
    with open(root/'runs'/'walk'/'steps.csv', encoding='utf-8', newline='') as f: steps = list(csv.DictReader(f))
    assert [s['step'] for s in steps][0] == 'audit' and len(steps) >= 6 and all(float(s['seconds']) > 0 for s in steps)
    for s in steps:
        file = root/'runs'/'walk'/s['run']
        run = json.loads(file.read_text(encoding='utf-8'))
        assert run['env']['dirty'] is False and file.stat().st_size < 300_000, s['step']
    assert (root/'images'/'walk.png').stat().st_size < 150_000


def test_no_photograph_is_shown(root):
    "In the picture of the page of the lot grey boxes stand in their places."
    with Image.open(root/'images'/'walk.png') as f: picture = f.convert('RGB')
    boxes = picture.crop((0, picture.height - 160, *picture.size)).getcolors(256)
    assert boxes and len(boxes) <= 3 and (128, 128, 128) in {c for _, c in boxes}, boxes # paper, frame of a card, box
