"""Cells for any number of processes on machines that share a folder, with no engine between them.

What lies in `leases/` of the result folder while such a run lasts, and what each part is for:

    run-000001/plan.json             what the run is: who differs from it is refused
    run-000001/members/TOKEN/        one process: who it is, its heart-beat, and records that are not published yet
    run-000001/cells/ID.1/           a lease: who runs the cell, and `stage-OWNER/`, through which its record must go
    run-000001/cells/ID.ended        the cell has come to an end in this run
    over-000001/                     a run that is over; only its number is of use

A process that has the folder for itself (`--executor local`) leaves nothing of its run where that was the first one.

Everything rests on two properties of a rename, which network file systems have, too: a folder cannot take the name of
another that is not empty, and of many that rename the same thing one succeeds. Times are never those of a machine:
only times that the shared file system itself gave to files are compared.
"""
