//! Medians and quartiles of times, and of ratios of neighbours; what is said of a target.

/// How many times as long, turn by turn.
pub fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    quartile(values, 2)
}

/// The lower one, where it lies between two values.
pub fn quartile(values: &[f64], number: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * number / 4).copied().unwrap_or(f64::NAN)
}

/// The median of ratios with its quartiles: `1.02 (0.99-1.05)`.
pub fn spread(ratios: &[f64]) -> String {
    format!("{:.2} ({:.2}-{:.2})", median(ratios), quartile(ratios, 1), quartile(ratios, 3))
}

/// Times fail nothing: they are said to be within a target, or not.
pub fn verdict(within: bool) -> &'static str {
    if within { "met" } else { "NOT MET" }
}
