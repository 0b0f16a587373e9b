"""How long tests wait for what must happen: long enough for a machine that is ten times slower and busy besides.

A wait ends with its condition, so that only a failure takes as long as this. No test compares a measured time with a
limit: what must end by itself is called against something that never answers, and ends or fails here.
"""

PATIENCE_SECONDS = 60.0
