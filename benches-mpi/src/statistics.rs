//! Medians and quartiles of times, and of ratios of neighbours.

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
