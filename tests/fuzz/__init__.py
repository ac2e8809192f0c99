"""Generated command lines and files: every command ends with its result or with one sentence.

python -m tests.fuzz --count=500               cases of all kinds
python -m tests.fuzz --kind=keras --seed=123   one case again, with what it printed
"""
