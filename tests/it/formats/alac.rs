//! ALAC in every form that encoders write.

use crate::formats::sounds::*;

#[test]
fn alac_of_any_form_is_exact_to_the_bit() {
    let (_folder, wav, _) = folder(44_100, 50_003);
    for (extension, args) in [
        ("mono.m4a", &["-ac", "1"][..]),
        // 24 bits that are all used.
        ("24.m4a", &["-af", "volume=0.7317", "-sample_fmt", "s32p"]),
        ("24.mono.m4a", &["-af", "volume=0.7317", "-ac", "1", "-sample_fmt", "s32p"]),
        // Few bits, and long runs of zeros.
        ("quiet.m4a", &["-af", "volume=0.0002,apad=pad_dur=1"]),
        // Noise, which is not compressed.
        ("noise.m4a", &["-af", "aeval=2*random(0)-1|2*random(1)-1"]),
        ("low.m4a", &["-min_prediction_order", "1", "-max_prediction_order", "3"]),
        ("eight.m4a", &["-min_prediction_order", "7", "-max_prediction_order", "8"]),
        ("high.m4a", &["-min_prediction_order", "16", "-max_prediction_order", "30"]),
        ("quick.m4a", &["-compression_level", "0"]),
        ("six.m4a", &["-ac", "6"]),
    ] {
        let all = [&["-c:a", "alac"], args].concat();
        let file = lossless(&wav, &all, extension);
        let expected = by_ffmpeg(&file);
        let (_, got) = decode(&file);
        assert!(got.len() >= 50_003, "{extension}: {} samples", got.len());
        assert!(got == expected, "{extension}: {} samples of {}", got.len(), expected.len());
    }
}
