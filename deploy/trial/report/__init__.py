"""The HTML report of one loop: what flowed, what was learnt, what was decided and how it went into production."""
