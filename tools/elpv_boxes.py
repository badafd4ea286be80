"Write studies/elpv_boxes.csv: every solar cell without the nine outermost of its 300 pixels, where the frame is."
import pandas as pd
from inspectkit.data import root_of
from inspectkit.runs import repo_root
from inspectkit.trim import COLUMNS

table = pd.read_csv(root_of('elpv')/'labels.csv', sep=r'\s+', names=['path', 'probability', 'type'])
boxes = [(p, 9, 9, 291, 291) for p in table.path]
pd.DataFrame(boxes, columns=COLUMNS).to_csv(repo_root()/'studies'/'elpv_boxes.csv', index=False, lineterminator='\n')
