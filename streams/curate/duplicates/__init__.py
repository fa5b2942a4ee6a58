"""Which texts were seen before: by id, by exact text, and nearly (Jaccard over word 1- and 2-grams).

How a stage uses it, one overlay for each batch, partition and workload:

    overlay = index.overlay((record.text_key, record.text) for record in batch)   # all texts at once: numpy, MinHash
    for record in batch:                                                          # then one by one, in order
        found = overlay.find(record.record_id, record.text_key, record.answer)
        if found is None:
            overlay.add(record.record_id, record.text_key, record.answer)         # the first member of a cluster
        elif it goes on as a vote:
            overlay.add_vote(record.record_id, found.cluster_id, record.answer)
    overlay.merge()                                                               # after the commit, or never

On assignment, `Recalled` takes what `curated` holds, record by record, and the index is made of it in batches.

What is promised: the answers depend on the records in `curated` and their order alone. However batches fell, whatever
was aborted, evicted or rebuilt between, they are exactly the same. That is why the index knows nothing that
`curated` does not hold:

- the first member of each of the last `horizon` clusters, evicted in the order in which they came, never by use;
- the ids of the last 2 x `horizon` first members and of as many votes; an id is there once;
- the last `horizon` clusters that got a vote with an answer. Until then a duplicate whose answer is the first member's
  adds nothing; from then on all answers go on as votes, so that those that agree are counted like the others.

So the id of a discarded duplicate is not remembered (sent again, its text is found again), and a text that is near a
discarded one but not near the cluster's first member opens a cluster of its own. `curated` must keep what the index
remembers: what retention has taken from the topic, a rebuilt index has forgotten.
"""

from streams.curate.duplicates.grams import similarity
from streams.curate.duplicates.index import Duplicate, DuplicateIndex, Overlay
from streams.curate.duplicates.recalled import Kept, Recalled

__all__ = ["Duplicate", "DuplicateIndex", "Kept", "Overlay", "Recalled", "similarity"]
