"""What the server is doing, for operators: `report` makes data of the parent's facts, `text` makes lines of the data.

Pure: nothing here asks the system, reads a clock, or decides anything.
"""
