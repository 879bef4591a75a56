#!/bin/sh
# Makes the demo's two voices, voice-a.ogg and voice-b.ogg, out of conversation.txt: Ogg/Opus, mono, 20 ms packets, both
# exactly $seconds long, so that the two stay in step when both are looped.
# Needs the Debian packages espeak-ng, sox and opus-tools.
set -eu

seconds=60
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One way to talk for each voice: espeak-ng's variant, pitch (0-99), words a minute.
speak() {
  case $1 in
    a) espeak-ng -v en-gb-x-rp+f3 -p 42 -s 182 -w "$2" "$3" ;;
    b) espeak-ng -v en-us+m3 -p 38 -s 188 -w "$2" "$3" ;;
  esac
}

calc() { awk "BEGIN { print ($1) }"; }

# Places each turn at its time: a file of silence and speech for each, to be summed.
now=0
turn=0
while IFS='|' read -r voice gap text; do
  case $voice in '#'* | '') continue ;; esac
  voice=$(echo "$voice" | tr -d ' ')
  turn=$((turn + 1))
  raw=$work/raw.wav
  speak "$voice" "$raw" "$text"
  # espeak-ng leaves silence at both ends; cut it, so that gaps are what conversation.txt says.
  sox -D "$raw" "$work/cut.wav" rate -v 48000 silence 1 0.01 0.1% reverse silence 1 0.01 0.1% reverse
  sox -D "$work/cut.wav" "$work/said.wav" fade 0.01 -0 0.02
  now=$(calc "$now + $gap")
  sox -D "$work/said.wav" "$work/$voice-$(printf %03d $turn).wav" pad "$now" 0
  now=$(calc "$now + $(soxi -D "$work/said.wav")")
done < conversation.txt

if [ "$(calc "$now + 0.5 > $seconds")" = 1 ]; then
  echo "the conversation takes $now s; raise 'seconds'" >&2
  exit 1
fi

sox -D -n -r 48000 -b 16 -c 1 "$work/silence.wav" trim 0 "$seconds"
for voice in a b; do
  # Half of full scale in the loudest sound comes to about -26 LUFS over all, as a careful speaker's microphone gives.
  sox -D -m "$work/silence.wav" "$work/$voice"-*.wav -c 1 "$work/$voice.wav" gain -n -6
  opusenc --quiet --speech --bitrate 32 --framesize 20 --serial 1 --discard-comments --padding 0 \
    --comment "TITLE=Stentor demo, voice $voice" "$work/$voice.wav" "voice-$voice.ogg"
done
echo "the conversation ends at $now s of $seconds s"
