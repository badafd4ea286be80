"What the project's notebooks promise of the default data: elpv, read once, same images every time."
import torch
from inspectkit.data import data_hash, draw, load, split


def test_elpv_as_s1_draws_it():
    cells = load('elpv', 64)
    assert torch.bincount(cells.y).tolist() == [1508, 295, 106, 715]
    assert cells.x.shape == (2624, 1, 64, 64) and not len(cells.audit)
    drawn = draw(cells, 600, 0)
    assert torch.bincount(drawn.y).tolist() == [165, 165, 106, 164]
    train, val, test = split(drawn, 5, 5, 0, 0)
    assert [len(i) for i in (train, val, test)] == [384, 96, 120]
    assert data_hash(drawn) == data_hash(draw(load('elpv', 64), 600, 0)) != data_hash(draw(cells, 600, 1))
