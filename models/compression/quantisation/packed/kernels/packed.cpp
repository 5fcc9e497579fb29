// Products with packed weights of 4 or 8 bits, for x86 processors with AVX-512 VNNI.
//
// The codes of weights are unsigned bytes (or halves of them) and stay as the model stores them. A row of inputs is
// rounded to signed bytes, with a scale for each CHUNK of columns of its own, so that a large entry spoils its
// neighbours alone. The processor multiplies the two exactly, into integers; those of a chunk are scaled and added in
// float32. For few rows, weights are read where they lie, as rows; for many, those of 32 outputs are put side by side
// first, so that one number of the inputs meets 16 outputs.
// Shapes: R rows, I inputs, O outputs; T tokens, D width, K chosen experts, N experts, M hidden neurons of each.
#include "vectors.h"

namespace {

constexpr int64_t CHUNK = 64;    // columns that share a scale of the inputs: one vector of bytes
constexpr int64_t BLOCK = 32;    // outputs of one task
constexpr int64_t FEW = 8;       // rows up to which weights are read where they lie
constexpr int64_t AHEAD = 16;    // rows of weights that are fetched before they are needed
constexpr int64_t TOKENS = 4096; // tokens of one pass
constexpr int64_t MOST = 512;    // rows that one task takes

inline float number(const float* p) { return *p; }
inline float number(const bf16* p) {
  const uint32_t bits = static_cast<uint32_t>(*p) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// A matrix (O, I): rows of `row_bytes` bytes of codes, `groups` scales (and zero points, or null) for each, of `per`
// chunks each.
template <class F>
struct Matrix {
  const uint8_t* words;
  const typename F::type* scale;
  const uint8_t* zero;
  int64_t outputs, row_bytes, groups, per;
  const uint8_t* row(int64_t o) const { return words + o * row_bytes; }
  Matrix expert(int64_t e) const {
    const int64_t rows = e * outputs;
    return {words + rows * row_bytes, scale + rows * groups, zero ? zero + rows * groups : nullptr,
            outputs, row_bytes, groups, per};
  }
};

// The codes of one chunk of a row. Of 4 bits: those of even columns first, then those of odd ones.
template <int BITS>
inline __m512i codes(const uint8_t* row, int64_t chunk, int64_t row_bytes) {
  constexpr int64_t bytes = CHUNK * BITS / 8;
  const int64_t n = std::min(bytes, row_bytes - chunk * bytes);
  if (BITS == 8) {
    if (n == bytes) return _mm512_loadu_si512(row + chunk * bytes);
    return _mm512_maskz_loadu_epi8((__mmask64)((1ull << n) - 1), row + chunk * bytes);
  }
  const __m256i both = n == bytes ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + chunk * bytes))
                                  : _mm256_maskz_loadu_epi8((__mmask32)((1u << n) - 1), row + chunk * bytes);
  const __m256i mask = _mm256_set1_epi8(15);
  const __m256i even = _mm256_and_si256(both, mask), odd = _mm256_and_si256(_mm256_srli_epi16(both, 4), mask);
  return _mm512_inserti64x4(_mm512_castsi256_si512(even), odd, 1);
}

// Rows of inputs as bytes: for each chunk its scale, and minus the sum of its bytes times the middle of the weights'
// grid (times 1 where each group has a zero point of its own), of four neighbours each (`lanes`) and of all (`sum`).
struct Inputs {
  int8_t* bytes;
  float* scale;
  int32_t *lanes, *sum;
  int64_t chunks;
  static int64_t size(int64_t rows, int64_t depth) {
    return rows * ((depth + CHUNK - 1) / CHUNK) * (CHUNK + sizeof(float) + 17 * sizeof(int32_t)) + 64;
  }
  // `memory` begins at a multiple of 64 bytes
  Inputs(char* memory, int64_t rows, int64_t depth) : chunks((depth + CHUNK - 1) / CHUNK) {
    bytes = reinterpret_cast<int8_t*>(memory);
    lanes = reinterpret_cast<int32_t*>(memory + rows * chunks * CHUNK);
    sum = lanes + rows * chunks * 16;
    scale = reinterpret_cast<float*>(sum + rows * chunks);
  }
};

template <class F, int BITS>
void to_bytes(const typename F::type* x, int64_t depth, bool zero, const Inputs& to, int64_t row) {
  const __m512i middle = _mm512_set1_epi32(zero ? 1 : 1 << (BITS - 1));
  for (int64_t c = 0; c < to.chunks; ++c) {
    __m512 v[4], most = _mm512_setzero_ps(), wrong = _mm512_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      const int64_t at = c * CHUNK + 16 * i, n = std::max<int64_t>(0, std::min<int64_t>(16, depth - at));
      v[i] = n ? F::get(x + at, n) : _mm512_setzero_ps();
      most = _mm512_max_ps(most, _mm512_abs_ps(v[i]));
      wrong = _mm512_fmadd_ps(v[i], _mm512_setzero_ps(), wrong);  // not a number where an entry is not finite
    }
    const float reach = _mm512_reduce_max_ps(most);
    const bool finite = _mm512_cmp_ps_mask(wrong, wrong, _CMP_UNORD_Q) == 0;
    const bool some = finite && reach > 1e-30f;
    const __m512 steps = _mm512_set1_ps(some ? 127.f / reach : 0.f);
    __m512i all = _mm512_setzero_si512();
    const auto part = [&](int i) {
      return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(some ? _mm512_mul_ps(v[i], steps) : _mm512_setzero_ps()));
    };
    all = _mm512_inserti32x4(all, part(0), 0);
    all = _mm512_inserti32x4(all, part(1), 1);
    all = _mm512_inserti32x4(all, part(2), 2);
    all = _mm512_inserti32x4(all, part(3), 3);
    if (BITS == 4)
      all = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(all)),
                               _mm512_cvtepi16_epi8(_mm512_srli_epi16(all, 8)), 1);
    const int64_t place = row * to.chunks + c;
    const __m512i four = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), all);
    const __m512i lanes = _mm512_mullo_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), four), middle);
    _mm512_storeu_si512(to.bytes + place * CHUNK, all);
    _mm512_storeu_si512(to.lanes + place * 16, lanes);
    to.sum[place] = _mm512_reduce_add_epi32(lanes);
    to.scale[place] = finite ? (some ? reach / 127.f : 0.f) : std::nanf("");
  }
}

// out[r * BLOCK + j] = <row rows[r] of x, output first + j> for four outputs and R rows. WHOLE: one group for each row.
// Meanwhile the four rows of weights at `ahead` are fetched into the second-level cache.
template <class F, int BITS, int R, bool WHOLE>
inline void few(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, float* out,
                const uint8_t* ahead) {
  const uint8_t *row[4], *zero[4];
  const typename F::type* scale[4];
  for (int64_t j = 0; j < 4; ++j) {
    const int64_t o = std::min(first + j, w.outputs - 1);  // beyond the last output: any, it is not used
    row[j] = w.words + o * w.row_bytes;
    scale[j] = w.scale + o * w.groups;
    zero[j] = w.zero + (w.zero ? o * w.groups : 0);
  }
  __m512 sum[R][4];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < 4; ++j) sum[r][j] = _mm512_setzero_ps();
  for (int64_t g = 0; g < w.groups; ++g) {
    float factor[4];
    for (int j = 0; j < 4; ++j) factor[j] = number(scale[j] + g);
    const int64_t end = std::min(x.chunks, (g + 1) * w.per);
    for (int64_t c = g * w.per; c < end; ++c) {
      __m512i weights[4];
      for (int j = 0; j < 4; ++j) {
        weights[j] = codes<BITS>(row[j], c, w.row_bytes);
        _mm_prefetch(reinterpret_cast<const char*>(ahead + j * w.row_bytes + c * (CHUNK * BITS / 8)), _MM_HINT_T1);
      }
      for (int r = 0; r < R; ++r) {
        const int64_t place = rows[r] * x.chunks + c;
        const __m512i a = _mm512_loadu_si512(x.bytes + place * CHUNK), less = _mm512_loadu_si512(x.lanes + place * 16);
        for (int j = 0; j < 4; ++j) {
          const __m512i start = w.zero ? _mm512_mullo_epi32(less, _mm512_set1_epi32(zero[j][g])) : less;
          const __m512 product = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, weights[j], a));
          const float by = WHOLE ? x.scale[place] : x.scale[place] * factor[j];
          sum[r][j] = _mm512_fmadd_ps(product, _mm512_set1_ps(by), sum[r][j]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r) {
    __m128 four = sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
    if (WHOLE)
      four = _mm_mul_ps(four, _mm_setr_ps(number(scale[0]), number(scale[1]), number(scale[2]), number(scale[3])));
    _mm_storeu_ps(out + r * BLOCK, four);
  }
}

template <class F, int BITS, bool WHOLE>
inline void few_rows(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, int64_t count, float* out,
                     const uint8_t* ahead) {
  while (count > 0) {
    switch (std::min<int64_t>(count, 4)) {
      case 4: few<F, BITS, 4, WHOLE>(w, first, x, rows, out, ahead); break;
      case 3: few<F, BITS, 3, WHOLE>(w, first, x, rows, out, ahead); break;
      case 2: few<F, BITS, 2, WHOLE>(w, first, x, rows, out, ahead); break;
      default: few<F, BITS, 1, WHOLE>(w, first, x, rows, out, ahead);
    }
    rows += 4, out += 4 * BLOCK, count -= 4;
  }
}

// 16 vectors of 16 numbers, as columns.
inline void transpose(__m512i* v) {
  __m512i t[16], u[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int h = 0; h < 2; ++h) {
      u[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + h + 2]);
      u[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + h + 2]);
    }
  for (int j = 0; j < 4; ++j) {
    const __m512i a = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88), b = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd), d = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
    v[j] = _mm512_shuffle_i32x4(a, b, 0x88);
    v[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
    v[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
    v[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

// The weights of BLOCK outputs for many rows: of each chunk 16 times 4 columns, of 2 times 16 outputs each.
struct Panel {
  uint8_t* bytes;
  float* scale;   // (groups, BLOCK)
  int32_t* zero;  // (groups, BLOCK), or null
  int64_t per;
};

template <class F, int BITS>
Panel side_by_side(const Matrix<F>& w, int64_t first, int64_t chunks, Scratch& scratch) {
  const int64_t bytes = chunks * BLOCK * CHUNK, entries = w.groups * BLOCK;
  char* memory = scratch.need(bytes + entries * (sizeof(float) + sizeof(int32_t)));
  Panel to{reinterpret_cast<uint8_t*>(memory), reinterpret_cast<float*>(memory + bytes), nullptr, w.per};
  if (w.zero) to.zero = reinterpret_cast<int32_t*>(to.scale + entries);
  for (int64_t n = 0; n < BLOCK; ++n) {
    const int64_t o = std::min(first + n, w.outputs - 1);
    for (int64_t g = 0; g < w.groups; ++g) {
      to.scale[g * BLOCK + n] = number(w.scale + o * w.groups + g);
      if (w.zero) to.zero[g * BLOCK + n] = w.zero[o * w.groups + g];
    }
  }
  for (int64_t c = 0; c < chunks; ++c)
    for (int64_t half = 0; half < 2; ++half) {
      __m512i v[16];
      for (int64_t n = 0; n < 16; ++n) {
        const int64_t o = std::min(first + 16 * half + n, w.outputs - 1);
        v[n] = codes<BITS>(w.words + o * w.row_bytes, c, w.row_bytes);
      }
      transpose(v);
      for (int64_t k = 0; k < 16; ++k) _mm512_store_si512(to.bytes + ((c * 16 + k) * 2 + half) * CHUNK, v[k]);
    }
  return to;
}

template <int R>
inline void tile(const Panel& w, const Inputs& x, const int64_t* rows, float* out) {
  __m512 sum[R][2];
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  for (int64_t c = 0; c < x.chunks; ++c) {
    const int64_t g = c / w.per;
    __m512i product[R][2];
    const int8_t* bytes[R];
    for (int r = 0; r < R; ++r) {
      const int64_t place = rows[r] * x.chunks + c;
      bytes[r] = x.bytes + place * CHUNK;
      product[r][0] = product[r][1] = _mm512_set1_epi32(x.sum[place]);
      if (w.zero)
        for (int h = 0; h < 2; ++h)
          product[r][h] = _mm512_mullo_epi32(product[r][h], _mm512_loadu_si512(w.zero + g * BLOCK + 16 * h));
    }
    const uint8_t* weights = w.bytes + c * BLOCK * CHUNK;
    for (int64_t k = 0; k < 16; ++k) {
      const __m512i w0 = _mm512_load_si512(weights + k * 2 * CHUNK), w1 = _mm512_load_si512(weights + (k * 2 + 1) * CHUNK);
      for (int r = 0; r < R; ++r) {
        int32_t four;
        std::memcpy(&four, bytes[r] + 4 * k, 4);
        const __m512i a = _mm512_set1_epi32(four);
        product[r][0] = _mm512_dpbusd_epi32(product[r][0], w0, a);
        product[r][1] = _mm512_dpbusd_epi32(product[r][1], w1, a);
      }
    }
    for (int r = 0; r < R; ++r) {
      const __m512 by = _mm512_set1_ps(x.scale[rows[r] * x.chunks + c]);
      for (int h = 0; h < 2; ++h) {
        const __m512 scale = _mm512_mul_ps(by, _mm512_loadu_ps(w.scale + g * BLOCK + 16 * h));
        sum[r][h] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(product[r][h]), scale, sum[r][h]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int h = 0; h < 2; ++h) _mm512_storeu_ps(out + r * BLOCK + 16 * h, sum[r][h]);
}

// out[r * BLOCK + n] = <row rows[r] of x, output first + n> for BLOCK outputs; the rows at `next` are needed after them.
template <class F, int BITS>
void block(const Matrix<F>& w, int64_t first, const Inputs& x, const int64_t* rows, int64_t count, float* out,
           const uint8_t* next) {
  static thread_local Scratch scratch;
  if (count <= FEW) {
    for (int64_t n = 0; n < std::min(BLOCK, w.outputs - first); n += 4) {
      const uint8_t* ahead = n + AHEAD < BLOCK ? w.row(first + n + AHEAD) : next + (n + AHEAD - BLOCK) * w.row_bytes;
      if (w.groups == 1)
        few_rows<F, BITS, true>(w, first + n, x, rows, count, out + n, ahead);
      else
        few_rows<F, BITS, false>(w, first + n, x, rows, count, out + n, ahead);
    }
    return;
  }
  const Panel panel = side_by_side<F, BITS>(w, first, x.chunks, scratch);
  for (int64_t r = 0; r < count; r += 6) {
    float* place = out + r * BLOCK;
    switch (std::min<int64_t>(count - r, 6)) {
      case 6: tile<6>(panel, x, rows + r, place); break;
      case 5: tile<5>(panel, x, rows + r, place); break;
      case 4: tile<4>(panel, x, rows + r, place); break;
      case 3: tile<3>(panel, x, rows + r, place); break;
      case 2: tile<2>(panel, x, rows + r, place); break;
      default: tile<1>(panel, x, rows + r, place);
    }
  }
}

template <class F, int BITS>
void linear(const typename F::type* x, const Matrix<F>& w, const typename F::type* bias, typename F::type* out,
            int64_t R, int64_t I) {
  static thread_local Scratch scratch;
  const Inputs inputs(scratch.need(Inputs::size(R, I) + R * sizeof(int64_t)), R, I);
  int64_t* rows = reinterpret_cast<int64_t*>(scratch.data + (Inputs::size(R, I) / 64) * 64);
  const int64_t O = w.outputs, blocks = (O + BLOCK - 1) / BLOCK;
  for (int64_t r = 0; r < R; ++r) rows[r] = r;
#pragma omp parallel if (R * O * I > (1 << 16))
  {
    std::unique_ptr<float[]> local(new float[BLOCK * std::min(R, MOST)]);
    float* product = local.get();
#pragma omp for
    for (int64_t r = 0; r < R; ++r) to_bytes<F, BITS>(x + r * I, I, w.zero, inputs, r);
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < blocks; ++task) {
      const int64_t first = task * BLOCK, last = std::min(O, first + BLOCK);
      for (int64_t begin = 0; begin < R; begin += MOST) {
        const int64_t count = std::min(MOST, R - begin);
        block<F, BITS>(w, first, inputs, rows + begin, count, product, w.row(first + BLOCK));
        for (int64_t r = 0; r < count; ++r)
          for (int64_t o = first; o < last; o += 16) {
            const int64_t n = std::min<int64_t>(16, last - o);
            __m512 value = _mm512_loadu_ps(product + r * BLOCK + o - first);
            if (bias) value = _mm512_add_ps(value, F::get(bias + o, n));
            F::store(out + (begin + r) * O + o, value, n);
          }
      }
    }
  }
}

// Rows of one expert that a task takes.
struct Rows {
  int64_t expert, begin, count;
};

template <class F, int BITS>
void experts(const typename F::type* x, const float* weight, const Matrix<F>& gate_up, const Matrix<F>& down,
             typename F::type* out, const Plan& plan, int64_t T, int64_t D, int64_t K, int64_t N, int64_t M) {
  static thread_local Scratch scratch;
  const int64_t pairs = plan.start[N], blocks = (M + BLOCK - 1) / BLOCK, stride = blocks * BLOCK;
  const int64_t for_x = (Inputs::size(T, D) + 63) / 64 * 64, for_hidden = (Inputs::size(pairs, M) + 63) / 64 * 64;
  char* memory = scratch.need(for_x + for_hidden + pairs * (stride * sizeof(float) + 2 * sizeof(int64_t)) + 64);
  const Inputs inputs(memory, T, D), acted(memory + for_x, pairs, M);
  float* hidden = reinterpret_cast<float*>(memory + for_x + for_hidden);
  int64_t* tokens = reinterpret_cast<int64_t*>(hidden + pairs * stride);
  int64_t* own = tokens + pairs;
  for (int64_t p = 0; p < pairs; ++p) {
    tokens[p] = plan.pair[p] / K;
    own[p] = p;
  }
  std::vector<Rows> parts;
  int64_t most = 0;
  for (int64_t e = 0; e < N; ++e)
    for (int64_t p = plan.start[e]; p < plan.start[e + 1]; p += MOST) {
      parts.push_back({e, p, std::min(MOST, plan.start[e + 1] - p)});
      most = std::max(most, parts.back().count);
    }
  const int64_t tasks = static_cast<int64_t>(parts.size()) * blocks;
  // A thread takes neighbours, so that what it fetches ahead is its own.
  const int64_t run = most > FEW ? 1 : std::max<int64_t>(1, blocks / 8);

#pragma omp parallel
  {
    std::unique_ptr<float[]> local(new float[BLOCK * (2 * most + T)]);
    float *gate = local.get(), *up = gate + most * BLOCK;
#pragma omp for
    for (int64_t t = 0; t < T; ++t) to_bytes<F, BITS>(x + t * D, D, gate_up.zero, inputs, t);
#pragma omp for schedule(dynamic, run)
    for (int64_t task = 0; task < tasks; ++task) {
      const Rows& part = parts[task / blocks];
      const int64_t first = task % blocks * BLOCK;
      const Matrix<F> own_weights = gate_up.expert(part.expert);
      const uint8_t *up_rows = own_weights.row(M + first), *next = own_weights.row(first + BLOCK);
      block<F, BITS>(own_weights, first, inputs, tokens + part.begin, part.count, gate, up_rows);
      block<F, BITS>(own_weights, M + first, inputs, tokens + part.begin, part.count, up, next);
      for (int64_t r = 0; r < part.count; ++r) {
        const __m512 share = _mm512_set1_ps(weight[plan.pair[part.begin + r]]);
        for (int64_t n = 0; n < BLOCK; n += 16) {
          const __m512 g = _mm512_loadu_ps(gate + r * BLOCK + n), u = _mm512_loadu_ps(up + r * BLOCK + n);
          _mm512_storeu_ps(hidden + (part.begin + r) * stride + first + n, _mm512_mul_ps(_mm512_mul_ps(silu(g), u), share));
        }
      }
    }
#pragma omp for
    for (int64_t p = 0; p < pairs; ++p) to_bytes<Float, BITS>(hidden + p * stride, M, down.zero, acted, p);
    // A task owns columns of the output: experts add up in a fixed order, in float32, without locks.
    float *product = gate, *total = up + most * BLOCK;
#pragma omp for schedule(dynamic, run)
    for (int64_t first = 0; first < D; first += BLOCK) {
      const int64_t last = std::min(D, first + BLOCK);
      std::fill(total, total + T * BLOCK, 0.f);
      for (size_t i = 0; i < parts.size(); ++i) {
        const Rows& part = parts[i];
        const bool more = i + 1 < parts.size();
        const uint8_t* next = down.expert(parts[more ? i + 1 : 0].expert).row(more ? first : first + BLOCK);
        block<F, BITS>(down.expert(part.expert), first, acted, own + part.begin, part.count, product, next);
        for (int64_t r = 0; r < part.count; ++r) {
          float* place = total + tokens[part.begin + r] * BLOCK;
          for (int64_t c = 0; c < BLOCK; c += 16)
            _mm512_storeu_ps(place + c, _mm512_add_ps(_mm512_loadu_ps(place + c), _mm512_loadu_ps(product + r * BLOCK + c)));
        }
      }
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = first; c < last; c += 16)
          F::store(out + t * D + c, _mm512_loadu_ps(total + t * BLOCK + c - first), std::min<int64_t>(16, last - c));
    }
  }
}

template <class F, int BITS>
void experts_in_passes(const typename F::type* x, const int64_t* index, const float* weight, const Matrix<F>& gate_up,
                       const Matrix<F>& down, typename F::type* out, int64_t T, int64_t D, int64_t K, int64_t N,
                       int64_t M) {
  for (int64_t t = 0; t < T; t += TOKENS) {
    const int64_t count = std::min(TOKENS, T - t);
    const Plan plan(index + t * K, count * K, N);
    experts<F, BITS>(x + t * D, weight + t * K, gate_up, down, out + t * D, plan, count, D, K, N, M);
  }
}
}  // namespace

extern "C" {
#define SPARSEBENCH(F, name)                                                                                           \
  void sparsebench_linear_##name(const F::type* x, const uint8_t* words, const F::type* scale, const uint8_t* zero,    \
                                 const F::type* bias, F::type* out, int64_t R, int64_t I, int64_t O, int64_t bits,     \
                                 int64_t row_bytes, int64_t groups, int64_t per) {                                     \
    const Matrix<F> w{words, scale, zero, O, row_bytes, groups, per};                                                  \
    bits == 8 ? linear<F, 8>(x, w, bias, out, R, I) : linear<F, 4>(x, w, bias, out, R, I);                             \
  }                                                                                                                    \
  void sparsebench_experts_##name(const F::type* x, const int64_t* index, const float* weight, F::type* out,           \
                                  const uint8_t* words, const F::type* scale, const uint8_t* zero,                     \
                                  const uint8_t* down_words, const F::type* down_scale, const uint8_t* down_zero,      \
                                  int64_t T, int64_t D, int64_t K, int64_t N, int64_t M, int64_t bits,                 \
                                  int64_t row_bytes, int64_t groups, int64_t per, int64_t down_row_bytes,              \
                                  int64_t down_groups, int64_t down_per) {                                             \
    const Matrix<F> gate_up{words, scale, zero, 2 * M, row_bytes, groups, per};                                        \
    const Matrix<F> down{down_words, down_scale, down_zero, D, down_row_bytes, down_groups, down_per};                 \
    bits == 8 ? experts_in_passes<F, 8>(x, index, weight, gate_up, down, out, T, D, K, N, M)                           \
              : experts_in_passes<F, 4>(x, index, weight, gate_up, down, out, T, D, K, N, M);                          \
  }

SPARSEBENCH(Float, float32)
#ifdef __AVX512BF16__
SPARSEBENCH(BFloat16, bfloat16)
#endif
}
