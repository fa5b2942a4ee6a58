"""The day-one report: what a recorded log holds and what a linear student could take over, before anything is started.

    lines of `millrace replay` (inputs) -> the curate stage's own steps (survey)
    -> census, student, takeover, saving (figures) -> pictures -> page, a JSON file and a summary (__main__)

It needs no broker and no GPU. It alone combines pure parts of other rooms (streams.curate, trainers.students.linear),
so that its figures come from the code that will run; nothing imports it.
"""
