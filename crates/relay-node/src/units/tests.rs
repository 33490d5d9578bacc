use proptest::prelude::*;

use super::*;

#[test]
fn sizes_read_as_people_write_them() {
    let cases = [
        ("0", 0),
        ("4096", 4096),
        ("1KiB", 1024),
        (" 256 MiB ", 256 << 20),
        ("64Mi", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("1_000B", 1000),
        ("0.5KiB", 512),
        ("18446744073709551615B", u64::MAX),
    ];
    for (text, bytes) in cases {
        assert_eq!(
            text.parse::<ByteSize>().map(ByteSize::bytes),
            Ok(bytes),
            "{text:?}"
        );
    }
}

#[test]
fn sizes_that_are_not_sizes_say_why() {
    let cases = [
        ("", UnitError::Empty),
        ("MiB", UnitError::NotANumber),
        ("-1MiB", UnitError::NotANumber),
        (".5MiB", UnitError::NotANumber),
        ("1.2.3MiB", UnitError::NotANumber),
        ("1MiBs", UnitError::UnknownUnit("MiBs".into())),
        ("1mib", UnitError::UnknownUnit("mib".into())),
        ("0.3B", UnitError::NotWhole),
        ("16777216TiB", UnitError::TooLarge),
        (
            "99999999999999999999999999999999999999999",
            UnitError::TooLarge,
        ),
    ];
    for (text, error) in cases {
        assert_eq!(text.parse::<ByteSize>(), Err(error), "{text:?}");
    }
}

#[test]
fn ratios_refuse_what_could_mean_two_things() {
    assert_eq!("70%".parse(), Ok(Ratio::percent(70)));
    assert_eq!("0.7".parse(), Ok(Ratio::percent(70)));
    assert_eq!("1".parse(), Ok(Ratio::percent(100)));
    assert_eq!("70".parse::<Ratio>(), Err(UnitError::AboveOne));
    assert_eq!("101%".parse::<Ratio>(), Err(UnitError::AboveOne));
    assert_eq!("-1%".parse::<Ratio>(), Err(UnitError::NotANumber));
    assert_eq!("NaN".parse::<Ratio>(), Err(UnitError::NotANumber));
    assert_eq!("inf".parse::<Ratio>(), Err(UnitError::NotANumber));
    assert_eq!(Ratio::percent(7).to_string(), "7%");
    assert_eq!("33.3%".parse::<Ratio>().unwrap().to_string(), "33.3%");
}

#[test]
fn rates_and_durations_need_their_units() {
    assert_eq!(
        "1MiB/s".parse(),
        Ok(ByteRate::from_bytes_per_second(1 << 20))
    );
    assert_eq!("1MiB".parse::<ByteRate>(), Err(UnitError::NotPerSecond));
    assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
    assert!(parse_duration("50").is_err());
    assert!(parse_duration("-5s").is_err());
}

proptest! {
    #[test]
    fn a_size_reads_back_what_it_printed(bytes: u64) {
        let size = ByteSize::from_bytes(bytes);
        prop_assert_eq!(size.to_string().parse(), Ok(size));
    }

    #[test]
    fn a_rate_reads_back_what_it_printed(bytes: u64) {
        let rate = ByteRate::from_bytes_per_second(bytes);
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn a_ratio_reads_back_what_it_printed(share in 0.0..=1.0_f64) {
        let ratio = Ratio::new(share).unwrap();
        prop_assert_eq!(ratio.to_string().parse(), Ok(ratio));
    }

    #[test]
    fn a_duration_reads_back_what_it_printed(ms in 0_u64..1 << 40) {
        let duration = Duration::from_millis(ms);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[0-9._]{0,45}[A-Za-z/%]{0,5}") {
        let _ = text.parse::<ByteSize>();
        let _ = text.parse::<ByteRate>();
        let _ = text.parse::<Ratio>();
        let _ = parse_duration(&text);
    }
}
