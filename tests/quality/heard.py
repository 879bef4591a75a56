#!/usr/bin/env python3
"""What a recording of the demo voices sounds like, as PESQ-WB (ITU-T P.862.2) against the clean voices.

    python3 -m venv env && env/bin/pip install pesq numpy scipy
    make chaos FAULT=kill-primary ROUNDS=20 ARGS="--record heard.ogg"
    env/bin/python tests/quality/heard.py heard.ogg

The recording is cut into pieces of ten seconds. For each, the two voices are found by correlation where they were spoken from in a
loop, and added up: that is the reference. Pieces in which nobody is clear enough to be found are left out and counted.
Needs ffmpeg.
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
# A voice that is in a piece correlates at least so well with it; another one's stays below 0.1.
CLEAR = 0.35
# How far a voice may have moved since the piece before: jitter buffers stretch and shrink.
MOVED = RATE // 10


def decode(file):
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    samples = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(samples, dtype=np.int16).astype(np.float64)


def find(piece, loop):
    """Where in the loop a piece begins, and how well it fits there."""
    twice = np.concatenate([loop, loop[: len(piece)]])
    match = fftconvolve(twice, piece[::-1], mode="valid")
    energy = np.cumsum(np.concatenate([[0.0], twice**2]))
    energy = np.sqrt(np.maximum(energy[len(piece) :] - energy[: -len(piece)], 1.0))
    fit = match / (energy[: len(match)] * np.sqrt(np.sum(piece**2) + 1.0))
    at = int(np.argmax(fit))
    return at % len(loop), float(fit[at])


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
        reference, found = np.zeros(PIECE), 0
        for number, loop in enumerate(loops):
            at, fit = find(piece, loop)
            expected = None if places[number] is None else (places[number] + PIECE) % len(loop)
            if fit >= CLEAR:
                places[number] = at
                found += 1
            else:
                # Silent, or hardly there: where it was before.
                places[number] = expected
            if places[number] is not None:
                reference += cut(loop, places[number], PIECE)
        try:
            if found == 0 or not reference.any():
                raise ValueError
            to16 = lambda samples: np.clip(samples, -32768, 32767).astype(np.int16)
            scores.append(pesq(RATE, to16(reference), to16(piece), "wb"))
        except (ValueError, PesqError):
            unclear += 1
    return scores, unclear


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
