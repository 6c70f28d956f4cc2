"""A district that can be played: fleet, landfill, transfer stations, planted faults, and the truth of each."""
