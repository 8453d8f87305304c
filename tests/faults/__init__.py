"""
The fault matrix: an upgrade of examples/rec_io, broken at every boundary of its operations.

    make faults                                  all of it; writes docs/faults.md
    scripts/faults --only power:10               one cell

At each boundary the controller is killed, the network is cut, the host's power is cut, or the step itself
fails. Whatever happens, all of release 1 works afterwards or all of release 2 does.
"""
