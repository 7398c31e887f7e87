//! The built-in data set: 1,797 handwritten digits of 8 × 8 pixels.

use super::dataset::Dataset;

/// See `data/README.md` for source, licence and format.
const PACKED: &[u8] = include_bytes!("../../data/digits.bin");

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const CLASSES: usize = 10;
/// A pixel takes 5 bits, so 8 pixels take 5 bytes.
const GROUP: usize = 8;
const GROUP_BYTES: usize = 5;
const IMAGE_BYTES: usize = PIXELS / GROUP * GROUP_BYTES;
/// The darkest value of a pixel.
const INK: f32 = 16.0;

/// The optical digits of the UCI repository, as in scikit-learn, with pixels scaled to 0..1.
pub fn digits() -> Dataset {
    let (examples, rest) = PACKED.as_chunks::<{ IMAGE_BYTES + 1 }>();
    assert!(rest.is_empty(), "digits.bin is damaged");
    let images = examples.iter().flat_map(|example| example[..IMAGE_BYTES].chunks(GROUP_BYTES)).flat_map(unpack);
    let labels = examples.iter().map(|example| example[IMAGE_BYTES]);
    Dataset::new(images.collect(), labels.collect(), [1, SIDE, SIDE], CLASSES).expect("digits.bin is damaged")
}

/// The 8 pixels in 5 bytes.
fn unpack(bytes: &[u8]) -> [f32; GROUP] {
    let bits = bytes.iter().rev().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    std::array::from_fn(|pixel| (bits >> (5 * pixel) & 31) as f32 / INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_documented_one() {
        let mut crc = flate2::Crc::new();
        crc.update(PACKED);
        assert_eq!((PACKED.len(), crc.sum()), (73_677, 0x30b1_8147));
    }

    #[test]
    fn every_class_has_its_documented_size() {
        let digits = digits();
        assert_eq!((digits.len(), digits.pixels(), digits.classes()), (1797, 64, 10));
        let mut counts = [0; CLASSES];
        digits.labels().iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn pixels_are_those_of_the_source() {
        let digits = digits();
        let row = digits.image(0)[8..16].iter().map(|pixel| pixel * INK).collect::<Vec<_>>();
        assert_eq!(row, [0.0, 0.0, 13.0, 15.0, 10.0, 15.0, 5.0, 0.0]);
        let ink: f64 = (0..digits.len()).flat_map(|index| digits.image(index)).map(|&pixel| f64::from(pixel)).sum();
        assert_eq!(ink * f64::from(INK), 561_718.0);
        let darkest = (0..digits.len()).flat_map(|index| digits.image(index)).copied().fold(0.0, f32::max);
        assert_eq!(darkest, 1.0);
    }
}
