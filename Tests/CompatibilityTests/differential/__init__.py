"""Random operation scripts, run against Apache's server and ours: one transcript each, compared frame by frame.

generate  makes scripts from seeds            encoding  requests to bytes, frames to values
player    runs a script, writes a transcript  compare   normalises two transcripts, finds the first difference
shrink    drops steps while it still differs  trial     a pair of servers that scripts are tried on
"""
