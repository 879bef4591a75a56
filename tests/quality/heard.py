#!/usr/bin/env python3
"""What a recording of the demo voices sounds like, as PESQ-WB (ITU-T P.862.2) against the clean voices.

    python3 -m venv env && env/bin/pip install pesq numpy scipy
    make chaos FAULT=kill-owner ROUNDS=20 ARGS="--record heard.ogg"
    env/bin/python tests/quality/heard.py heard.ogg

The recording is cut into pieces of ten seconds. For each, the places in their loops that the two voices were spoken from are found by
correlation, and added up: that is the reference. Pieces that PESQ finds no utterance in are left out and counted. Needs ffmpeg.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from pesq import PesqError, pesq
from scipy.signal import fftconvolve

RATE = 16_000
PIECE = 10 * RATE
VOICES = Path(__file__).parents[2] / "services/node/demo"
# How far a voice may have moved since the piece before: jitter buffers stretch and shrink, and connections come anew.
MOVED = RATE // 2


def decode(file):
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    samples = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(samples, dtype=np.int16).astype(np.float64)


def find(piece, loop, expected):
    """Where in the loop a piece begins: where it fits best, near where it is expected."""
    twice = np.concatenate([loop, loop[: len(piece)]])
    match = fftconvolve(twice, piece[::-1], mode="valid")[: len(loop)]
    if expected is not None:
        far = np.abs((np.arange(len(match)) - expected + len(loop) // 2) % len(loop) - len(loop) // 2) > MOVED
        match[far] = -np.inf
    return int(np.argmax(match))


def cut(loop, at, length):
    return np.take(loop, np.arange(at, at + length), mode="wrap")


def score(recording):
    heard = decode(recording)
    # A loop is a whole number of packets; what the decoder adds at the end is not spoken.
    loops = [decode(VOICES / f"voice-{name}.ogg") for name in "ab"]
    loops = [loop[: len(loop) // 320 * 320] for loop in loops]
    places, scores, unclear = [None, None], [], 0
    for start in range(0, len(heard) - PIECE + 1, PIECE):
        piece = heard[start : start + PIECE]
        expected = [None if place is None else (place + PIECE) % len(loop) for place, loop in zip(places, loops)]
        places = [find(piece, loop, place) for loop, place in zip(loops, expected)]
        reference = sum(cut(loop, place, PIECE) for loop, place in zip(loops, places))
        try:
            scores.append(pesq(RATE, to16(reference), to16(piece), "wb"))
        except PesqError:
            unclear += 1
    return scores, unclear


def to16(samples):
    return np.clip(samples, -32768, 32767).astype(np.int16)


def main():
    for recording in sys.argv[1:] or sys.exit(__doc__):
        scores, unclear = score(recording)
        if not scores:
            print(f"{recording}: no piece in which the demo voices can be found")
            continue
        low, median = np.percentile(scores, [10, 50])
        print(
            f"{recording}: PESQ-WB mean {np.mean(scores):.2f}, median {median:.2f}, lowest tenth {low:.2f} "
            f"over {len(scores)} pieces of 10 s; {unclear} left out"
        )


if __name__ == "__main__":
    main()
