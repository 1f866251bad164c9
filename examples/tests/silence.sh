#!/bin/sh
# A minute of digital silence through the whole chain: it must run, and nothing may be heard in it.
set -eu
events=$(gst-launch-1.0 -q audiotestsrc wave=silence num-buffers=60 samplesperbuffer=16000 ! audio/x-raw,rate=16000,channels=1 \
  ! audioconvert ! melspec ! m2dencode ! clapmatch labels="dog barking;siren;glass breaking" ! fdsink)
[ -z "$events" ] || { echo "events in digital silence: $events" >&2; exit 1; }
