sr = 16000
ksmps = 16
nchnls = 1
0dbfs = 1
seed $SEED

gisine ftgen 1, 0, 4096, 10, 1
gibuzz ftgen 2, 0, 4096, 11, 1
gistrike ftgen 3, 0, 256, 7, 0, 8, 1, 16, -0.5, 232, 0
gidecay ftgen 4, 0, 1024, 5, 1, 1024, 0.001
gibow ftgen 5, 0, 1024, 7, 0, 128, 1, 768, 1, 128, 0
gisigmoid ftgen 6, 0, 1024, 19, 0.5, 0.5, 270, 0.5
givibrato ftgen 7, 0, 256, 10, 1
gisaw ftgen 8, 0, 4096, 10, 1, .5, .333, .25, .2, .167, .143, .125, .111, .1
giharm1 ftgen 11, 0, 1024, 10, 1, 0.3, 0.1
giharm2 ftgen 12, 0, 1024, 10, 1, 0, 0.5, 0, 0.2
giharm3 ftgen 13, 0, 1024, 10, 1, 0.6, 0.4, 0.3, 0.2, 0.1

; p4 amplitude, p5 frequency, p6-p9 manner in 0..1

instr 1
  a1 pluck p4, p5, p5, 0, 1
  a1 = a1 * linsegr(1, 0.05, 0)
  out a1
endin
instr 2
  a1 wgpluck2 0.1 + 0.8 * p6, p4, p5, 0.1 + 0.8 * p7, 0.1 + 0.8 * p8
  out a1
endin
instr 3
  a1 marimba p4, p5, 0.1 + 0.8 * p6, 0.05 + 0.9 * p7, gistrike, 5 * p8, 0.1 * p9, givibrato, 0.1
  out a1
endin
instr 4
  a1 vibes p4, p5, 0.1 + 0.8 * p6, 0.05 + 0.9 * p7, gistrike, 2 + 8 * p8, 0.3 * p9, givibrato, 0.1
  out a1
endin
instr 5
  a1 gogobel p4, p5, 0.1 + 0.8 * p6, 0.05 + 0.9 * p7, gistrike, 5 * p8, 0.1 * p9, givibrato
  out a1
endin
instr 6
  a1 barmodel 1 + int(2 * p6), 1 + int(2 * p7), 10 + 300 * (p5 / 1500), 0.001 + 0.01 * p8, 0.1 + 0.3 * p9, 0.5 + 5 * p8, 0.2 + 0.6 * p6, 300 + 700 * p7, 0.02 + 0.1 * p9
  out a1 * p4
endin
instr 7
  a1 wgpluck p5, p4, 0.1 + 0.8 * p6, 0.1 + 0.6 * p7, 5 + 20 * p8, 500 + 3000 * p9, a(0)
  a2 pluck p4 * 0.5, p5 * 2.01, p5 * 2.01, 0, 3, 0.5
  out a1 + a2
endin
instr 8
  a1 shaker p4, p5, 4 + 60 * p6, 0.9 + 0.099 * p7, 20 + 80 * p8
  out a1
endin
instr 9
  a1 cabasa p4, 0.01, 20 + 200 * p6, 0.5 * p7
  out a1
endin
instr 10
  a1 crunch p4, 0.01, 2 + 20 * p6, 0.5 * p7
  out a1
endin
instr 11
  a1 sekere p4, 0.01, 10 + 60 * p6, 0.5 * p7
  out a1
endin
instr 12
  a1 sandpaper p4, 0.01, 20 + 200 * p6, 0.5 * p7
  out a1
endin
instr 13
  a1 stix p4, 0.01, 5 + 40 * p6, 0.5 * p7
  out a1
endin
instr 14
  a1 guiro p4, 0.01, 20 + 100 * p6, 0.5 * p7, 0, 1500 + 2000 * p8, 3000 + 2000 * p9
  out a1
endin
instr 15
  a1 tambourine p4, 0.01, 10 + 40 * p6, 0.5 * p7, 0, 1500 + 2000 * p8
  out a1
endin
instr 16
  a1 bamboo p4, 0.01, 1 + 5 * p6, 0.5 * p7, 0, 1500 + 2500 * p8
  out a1
endin
instr 17
  ; a xylophone of four resonances, struck
  a0 mpulse p4, 0
  a1 mode a0, p5, 50 + 300 * p6
  a2 mode a0, min:i(p5 * (2.5 + 2 * p7), 7000), 40 + 200 * p8
  a3 mode a0, min:i(p5 * (5 + 3 * p9), 7400), 30 + 100 * p8
  out (a1 + 0.4 * a2 + 0.2 * a3) * linsegr(1, 0.05, 0)
endin
instr 18
  a1 sleighbells p4, 0.01, 10 + 40 * p6, 0.5 * p7
  out a1
endin
instr 19
  a1 fmbell p4, p5, 0.5 + 4 * p6, 0.5 + 3 * p7, 0.1 * p8, 2 + 6 * p9, 1, 1, 1, 1, 1, 0.3 + 2 * p6
  out a1
endin
instr 20
  a1 fmrhode p4, p5, 5 * p6, 5 * p7, 0.1 * p8, 6, 1, 1, 1, 3, 1
  out a1
endin
instr 21
  a1 fmwurlie p4, p5, 5 * p6, 5 * p7, 0.1 * p8, 6, 1, 1, 1, 3, 1
  out a1
endin
instr 22
  a1 fmmetal p4, p5, 5 * p6, 5 * p7, 0.1 * p8, 6, 13, 13, 13, 3, 1
  out a1
endin
instr 23
  a1 fmb3 p4, p5, 5 * p6, 5 * p7, 0.2 * p8, 6, 1, 1, 1, 1, 1
  out a1
endin
instr 24
  a1 fmpercfl p4, p5, 5 * p6, 5 * p7, 0.1 * p8, 6, 1, 1, 1, 1, 1
  out a1
endin
instr 25
  a1 fmvoice p4, p5, int(63 * p6), 20 * p7, 0.02 * p8, 5, 1, 1, 1, 1, 1
  out a1 * linsegr(1, 0.1, 0)
endin
instr 26
  ; a bass drum or tom: a sine that falls
  kf expseg p5 * (2 + 6 * p6), 0.02 + 0.1 * p7, p5, p3, p5 * 0.8
  ke expseg 1, 0.1 + 0.6 * p8, 0.01, p3, 0.001
  a1 poscil ke, kf
  a2 noise ke * ke * 0.3 * p9, 0.3
  out p4 * (a1 + a2)
endin
instr 27
  a1 vco2 p4, p5, int(6 * p6) * 2 < 11 ? int(2 * p6) * 10 : 0, 0.5
  kc expseg 300 + 6000 * p7, p3, 200 + 2000 * p8
  a1 moogladder a1, kc, 0.8 * p9
  out a1 * linsegr(1, 0.05, 0)
endin
instr 28
  a1 pluck p4 * 0.5, p5, p5, 0, 1
  a2 pluck p4 * 0.5, p5 * (1 + 0.01 * p6), p5, 0, 1
  kt linseg 1, p3, 0.5
  a3 = (a1 + a2) * (1 - 0.8 * p7 * abs(poscil:k(1, 5 + 10 * p8)))
  out a3 * kt
endin
instr 29
  a1 wgbow p4, p5, 1 + 4 * p6, 0.05 + 0.2 * p7, 2 + 8 * p8, 0.02 * p9, givibrato
  out a1 * linsegr(1, 0.1, 0)
endin
instr 30
  a1 wgbowedbar p4, p5, p6, 0.2 + 0.7 * p7, 0.9 + 0.09 * p8
  out a1
endin
instr 31
  a1 wgbrass p4, p5, 0.3 + 0.3 * p6, 0.02 + 0.1 * p7, 2 + 8 * p8, 0.1 * p9, givibrato
  out a1 * linsegr(1, 0.1, 0)
endin
instr 32
  a1 wgclar p4, p5, -0.4 + 0.2 * p6, 0.02 + 0.1 * p7, 0.1, 0.3 * p8, 2 + 8 * p9, 0.1, givibrato
  out a1
endin
instr 33
  a1 wgflute p4, p5, 0.2 + 0.3 * p6, 0.02 + 0.1 * p7, 0.1, 0.3 * p8, 2 + 8 * p9, 0.05, givibrato
  out a1
endin
instr 34
  ki linseg 0.2 + 12 * p6, p3, 0.2 + 3 * p7
  a1 foscili p4, p5, 1, 0.25 + int(p8 * 16) / 4, ki, 1
  out a1 * expsegr(0.01, 0.005 + 0.2 * p9, 1, p3, 0.1, 0.05, 0.01)
endin
instr 35
  kf linseg 300 + 600 * p6, p3, 300 + 600 * p7
  a1 fof p4, p5 * (1 + 0.02 * poscil:k(1, 5)), kf, 0, 80, 0.003, 0.02, 0.007, 60, 1, 6, p3
  a2 fof p4 * 0.5, p5 * (1 + 0.02 * poscil:k(1, 5)), 800 + 1500 * p8, 0, 100, 0.003, 0.02, 0.007, 60, 1, 6, p3
  out a1 + a2
endin
instr 36
  km linseg 0.3 + 0.6 * p6, p3, 0.2 + 0.5 * p7
  a1 gbuzz p4, p5, 1 + int(20 * p8), 1, km, 2
  out a1 * linsegr(0, 0.01 + 0.3 * p9, 1, 0.1, 0)
endin
instr 37
  ; two saws out of tune, through a filter that moves
  a1 vco2 p4 * 0.5, p5
  a2 vco2 p4 * 0.5, p5 * (1 + 0.02 * p6)
  kc = 500 + 3000 * p7 + (400 + 2000 * p8) * poscil:k(1, 0.2 + 6 * p9)
  a1 moogladder a1 + a2, max:k(kc, 60), 0.5 * p6
  out a1 * linsegr(0, 0.02, 1, 0.1, 0)
endin
instr 38
  ; a hiss whose colour glides: a swoosh of a game, a riser
  a1 noise p4, 0
  kc expseg p5, p3 * (0.2 + 0.6 * p6), min:i(p5 * (1 + 6 * p7), 7000), p3, p5
  a1 butterbp a1, kc, kc * (0.1 + p8)
  ke linseg 0, p3 * (0.05 + 0.9 * p9), 1, p3 * (0.95 - 0.9 * p9), 0
  out 2 * a1 * ke * ke
endin
instr 39
  ; a kick of a drum machine
  kf expseg p5 * 6, 0.03 + 0.05 * p6, p5, p3, p5 * 0.7
  a1 poscil expseg:k(p4, 0.15 + 0.8 * p7, 0.001, p3, 0.0005), kf
  out tanh(a1 * (1 + 4 * p8))
endin
instr 40
  ; a snare or clap of a drum machine
  ke expseg 1, 0.05 + 0.3 * p6, 0.002, p3, 0.001
  a1 noise ke, 0
  a1 butterbp a1, 800 + 3000 * p7, 500 + 3000 * p8
  a2 poscil ke * 0.5 * p9, 150 + 150 * p6
  out p4 * (a1 + a2)
endin
instr 41
  ; a cymbal or hat of a drum machine: six squares through a high pass
  ke expseg 1, 0.03 + 0.8 * p6 * p6, 0.002, p3, 0.001
  a1 vco2 1, p5, 10
  a2 vco2 1, p5 * 1.342, 10
  a3 vco2 1, p5 * 1.2312, 10
  a4 vco2 1, p5 * 1.6532, 10
  a5 vco2 1, p5 * 1.9523, 10
  a6 noise 2 * p7, 0
  a1 butterhp a1 + a2 + a3 + a4 + a5 + a6, 3000 + 3500 * p8
  out p4 * 0.3 * a1 * ke
endin
instr 42
  ; a record under a hand: a tone and its noise, run to and fro
  ks = abs(poscil:k(1, 1 + 5 * p6)) * (0.4 + p7)
  a1 foscili p4, max:k(p5 * ks, 1), 1, 1.41, 3 * p8, 1
  a2 noise p4 * 0.5 * ks, 0
  a2 butterbp a2, max:k(2500 * ks, 80), 1000
  out (a1 * p9 + a2) * linsegr(0, 0.01, 1, 0.02, 0)
endin
instr 43
  ; a pad: five sines that beat, slowly in and out
  a1 poscil p4 * 0.3, p5
  a2 poscil p4 * 0.3, p5 * (1.5 + 0.01 * p6)
  a3 poscil p4 * 0.2, p5 * (2 + 0.01 * p7)
  a4 vco2 p4 * 0.2, p5 * (1 + 0.005 * p8)
  a5 noise p4 * 0.1 * p9, 0.8
  out (a1 + a2 + a3 + tone:a(a4, 800) + a5) * linseg(0, p3 * 0.4, 1, p3 * 0.6, 0)
endin
instr 44
  ; two tones multiplied, a robot's voice
  a1 vco2 p4, p5
  a2 poscil 1, p5 * (0.1 + 3 * p6)
  kc linseg 400 + 2000 * p7, p3 * 0.5, 400 + 4000 * p8, p3 * 0.5, 400
  out butterbp:a(a1 * a2, kc, kc * (0.2 + p9)) * linsegr(1, 0.02, 0)
endin
instr 45
  ; zaps, blips and lasers: a quick glide, few steps of loudness
  kf expseg p5 * (0.3 + 6 * p6), p3 * (0.1 + 0.8 * p7), p5, p3, p5
  a1 vco2 p4, min:k(kf, 7000), p8 > 0.5 ? 10 : 0
  a1 = int(a1 * (4 + 40 * p9)) / (4 + 40 * p9)
  out a1 * linsegr(1, 0.01, 0)
endin
