/* The most that the cores' own arithmetic gives: chains of independent multiply-adds in registers, written by hand.

   cc -O3 -march=native -pthread peak.c -o peak && ./peak fp32|bf16|int8 THREADS

   Says `ready`, then for each number of milliseconds on stdin 10^9 operations a second (a multiplication and an addition are two)
   of all threads together. Ends with 3 where the processor has no instruction of that kind that is known here. */
#include <immintrin.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHAINS 24 /* as many as registers hold, more than the instruction's latency needs */
#define TURNS 4096

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Multiply-adds into CHAINS accumulators; OPERATIONS: of one instruction. */
#define LOOP(NAME, TYPE, N, ZERO, STEP, SUM)                                   \
  static float NAME(void) {                                                    \
    TYPE a[N];                                                                 \
    for (int i = 0; i < N; i++) a[i] = ZERO;                                   \
    for (int t = 0; t < TURNS; t++) {                                          \
      _Pragma("GCC unroll 24") for (int i = 0; i < N; i++) {                   \
        STEP;                                                                  \
        __asm__ volatile("" : "+x"(a[i]));                                     \
      }                                                                        \
    }                                                                          \
    float s = 0;                                                               \
    for (int i = 0; i < N; i++) s += SUM;                                      \
    return s;                                                                  \
  }

#ifdef __AVX512F__
LOOP(fp32, __m512, CHAINS, _mm512_setzero_ps(), a[i] = _mm512_fmadd_ps(_mm512_set1_ps(0.999f), _mm512_set1_ps(1e-3f), a[i]), _mm512_cvtss_f32(a[i]))
#define FP32 (CHAINS * 32)
#elif defined(__FMA__)
LOOP(fp32, __m256, 12, _mm256_setzero_ps(), a[i] = _mm256_fmadd_ps(_mm256_set1_ps(0.999f), _mm256_set1_ps(1e-3f), a[i]), _mm256_cvtss_f32(a[i]))
#define FP32 (12 * 16)
#endif
#ifdef __AVX512BF16__
LOOP(bf16, __m512, CHAINS, _mm512_setzero_ps(), a[i] = _mm512_dpbf16_ps(a[i], (__m512bh)_mm512_set1_epi16(0x3f80), (__m512bh)_mm512_set1_epi16(0x3a00)), _mm512_cvtss_f32(a[i]))
#define BF16 (CHAINS * 64)
#endif
#ifdef __AVX512VNNI__
LOOP(int8, __m512i, CHAINS, _mm512_setzero_si512(), a[i] = _mm512_dpbusd_epi32(a[i], _mm512_set1_epi8(3), _mm512_set1_epi8(1)), _mm_cvtsi128_si32(_mm512_castsi512_si128(a[i])))
#define INT8 (CHAINS * 128)
#elif defined(__AVXVNNI__)
LOOP(int8, __m256i, 12, _mm256_setzero_si256(), a[i] = _mm256_dpbusd_avx_epi32(a[i], _mm256_set1_epi8(3), _mm256_set1_epi8(1)), _mm_cvtsi128_si32(_mm256_castsi256_si128(a[i])))
#define INT8 (12 * 64)
#endif

static float (*work)(void);
static double per_call, until;

static void *thread(void *rate) {
  double begun = seconds(), now = begun, calls = 0;
  volatile float sink = 0;
  do {
    for (int i = 0; i < 16; i++) sink += work();
    calls += 16;
    now = seconds();
  } while (now < until);
  *(double *)rate = calls * per_call / (now - begun) / 1e9;
  return NULL;
}

int main(int argc, char **argv) {
  const char *kind = argc > 1 ? argv[1] : "";
  int threads = argc > 2 ? atoi(argv[2]) : 1;
#ifdef FP32
  if (!strcmp(kind, "fp32")) work = fp32, per_call = (double)TURNS * FP32;
#endif
#ifdef BF16
  if (!strcmp(kind, "bf16")) work = bf16, per_call = (double)TURNS * BF16;
#endif
#ifdef INT8
  if (!strcmp(kind, "int8")) work = int8, per_call = (double)TURNS * INT8;
#endif
  if (!work || threads < 1 || threads > 64) return 3;
  puts("ready");
  fflush(stdout);
  double ms;
  while (scanf("%lf", &ms) == 1) {
    pthread_t made[64];
    double rates[64], sum = 0;
    until = seconds() + ms / 1000;
    for (int i = 0; i < threads; i++) pthread_create(&made[i], NULL, thread, &rates[i]);
    for (int i = 0; i < threads; i++) pthread_join(made[i], NULL), sum += rates[i];
    printf("%.3f\n", sum);
    fflush(stdout);
  }
  return 0;
}
