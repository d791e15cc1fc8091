//! Numbers for people: short, with their units.

/// A size.
pub fn size_of(bytes: usize) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, "B");
    for larger in UNITS {
        // What would be rounded up to 1024.0 is one of the next.
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "B" {
        format!("{bytes}B")
    } else {
        format!("{size:.1}{unit}")
    }
}

/// An age, in the largest unit of which it has one.
pub fn age_of(milliseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    let unit = UNITS.iter().find(|(length, _)| milliseconds >= *length);
    unit.map_or_else(|| format!("{milliseconds}ms"), |(length, name)| format!("{}{name}", milliseconds / length))
}

/// A count in at most five characters, as far as it has fewer than 16 digits.
pub fn count_of(count: u64) -> String {
    const UNITS: [&str; 4] = ["k", "M", "G", "T"];
    let (mut short, mut unit) = (count as f64, "");
    for larger in UNITS {
        if short < 9999.5 {
            break;
        }
        (short, unit) = (short / 1000.0, larger);
    }
    format!("{short:.0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_ages_and_counts_are_short() {
        for (bytes, shown) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            (1_048_570, "1.0MiB"),
            (16 << 20, "16.0MiB"),
        ] {
            assert_eq!(size_of(bytes), shown);
        }
        for (age, shown) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (59_999, "59s"),
            (60_000, "1min"),
            (7_200_000, "2h"),
            (1 << 30, "12d"),
        ] {
            assert_eq!(age_of(age), shown);
        }
        for (count, shown) in [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10k"),
            (9_999_499, "9999k"),
            (9_999_500, "10M"),
            (1_234_567_890, "1235M"),
        ] {
            assert_eq!(count_of(count), shown);
        }
    }
}
