//! Random bits as a function of a key and a number: Philox, 4 words of 32 bits in 10 rounds.
//!
//! Salmon, Moraes, Dror and Shaw, *Parallel random numbers: as easy as 1, 2, 3* (2011). Nothing is remembered from one draw to
//! the next, so any part of a draw can be made anywhere, in any order.

/// What a word is multiplied by, and what the key grows by in each round.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// The four words with this number under this key.
fn philox(mut key: [u32; 2], mut words: [u32; 4]) -> [u32; 4] {
    for _ in 0..10 {
        let [first, second] = [0, 1].map(|i| u64::from(MULTIPLIERS[i]) * u64::from(words[2 * i]));
        words = [
            (second >> 32) as u32 ^ words[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ words[3] ^ key[1],
            first as u32,
        ];
        key = [0, 1].map(|i| key[i].wrapping_add(WEYL[i]));
    }
    words
}

/// The pair with this number of numbers in `[0, 1)`, multiples of 2⁻⁵³, drawn under `seed`.
fn pair(seed: u64, number: u64) -> [f64; 2] {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let [low, high] = halves(number);
    let [a, b, c, d] = philox(halves(seed), [low, high, 0, 0]);
    [(a, b), (c, d)].map(|(low, high)| {
        let bits = (u64::from(high) << 32 | u64::from(low)) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    })
}

/// The first `count` numbers of a draw under `seed`, uniform on `[0, 1)`.
#[must_use]
pub fn uniform(seed: u64, count: usize) -> Vec<f64> {
    drawn(seed, count, |pair| pair)
}

/// The first `count` numbers of a draw under `seed`, normal with mean 0 and deviation 1.
///
/// Two at a time, by the transform of Box and Muller (1958).
#[must_use]
pub fn normal(seed: u64, count: usize) -> Vec<f64> {
    drawn(seed, count, |[u, v]| {
        // The logarithm of 0 is none, and 1 − u is never 0.
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        [radius * cos, radius * sin]
    })
}

fn drawn(seed: u64, count: usize, of: impl Fn([f64; 2]) -> [f64; 2]) -> Vec<f64> {
    let mut numbers: Vec<f64> = (0..count.div_ceil(2) as u64).flat_map(|number| of(pair(seed, number))).collect();
    numbers.truncate(count);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers that the authors' library publishes (Random123, `kat_vectors`).
    #[test]
    fn words_are_those_of_the_authors() {
        let all = u32::MAX;
        assert_eq!(philox([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([all; 2], [all; 4]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let words = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let expected = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox([0xa409_3822, 0x299f_31d0], words), expected);
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 100_000;
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / count as f64;
        let square = |numbers: &[f64]| numbers.iter().map(|x| x * x).collect::<Vec<f64>>();
        let (u, x) = (uniform(1, count), normal(2, count));
        assert!(u.iter().all(|u| (0.0..1.0).contains(u)));
        // Within five deviations of each mean.
        for (found, expected, variance) in [
            (mean(&u), 0.5, 1.0 / 12.0),
            (mean(&square(&u)), 1.0 / 3.0, 4.0 / 45.0),
            (mean(&x), 0.0, 1.0),
            (mean(&square(&x)), 1.0, 2.0),
            (mean(&square(&square(&x))), 3.0, 96.0),
        ] {
            let deviation = f64::sqrt(variance / count as f64);
            assert!((found - expected).abs() < 5.0 * deviation, "{found} {expected}");
        }
    }

    #[test]
    fn a_longer_draw_begins_like_a_shorter_one() {
        assert_eq!(normal(3, 1000)[..7], normal(3, 7));
        assert_ne!(uniform(3, 7), uniform(4, 7));
    }
}
