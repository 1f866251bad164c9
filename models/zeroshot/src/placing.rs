//! Which of the moments at which a sound changes an event begins or ends at.

use std::collections::VecDeque;

use listen_package::{Package, PackageError};

use crate::edges::Edge;
use crate::history::History;

const MS: u64 = 1_000_000;

/// A moment is this strong at least.
const FAINTEST: f32 = 0.15;

/// It is the strongest so far on either side: five frames of 10 ms, and half a one, as times are rounded.
const APART: u64 = 55 * MS;

/// What is nearer to a moment than this belongs to it.
const CLEAR: u64 = 55 * MS;

/// Moments are looked for so long before what is known, and the reference is not before that.
const LONGEST: u64 = 8_000 * MS;

/// Scores nearer than this to 0 or 1 count as that near.
const LEAST: f32 = 0.0025;

/// Logits are divided by this.
const SCALE: f32 = 3.0;

/// What is told of a moment besides scores.
const TOLD: usize = 5;

/// Most that a network is told, and most rows of a layer: no memory is taken while a stream runs.
const MOST_INPUTS: usize = TOLD + 32;
const MOST_ROWS: usize = 64;

/// Beginning or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Onset,
    Offset,
}

impl Kind {
    fn own(self, edge: &Edge) -> f32 {
        match self {
            Kind::Onset => edge.onset,
            Kind::Offset => edge.offset,
        }
    }

    fn other(self, edge: &Edge) -> f32 {
        match self {
            Kind::Onset => edge.offset,
            Kind::Offset => edge.onset,
        }
    }

    /// Moments are looked for so long before the reference.
    fn back(self) -> u64 {
        match self {
            Kind::Onset => 3_000 * MS,
            Kind::Offset => 1_600 * MS,
        }
    }
}

/// Where an event is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    /// The score's steepest step.
    pub step: u64,
    /// It is not before.
    pub first: u64,
    /// Whether it is one of the labels that networks know the scores of.
    pub by_networks: bool,
    /// Start of the first score at half the onset threshold (as that was then); of an offset the end of the last one at the
    /// threshold, or of the first after a pause.
    pub reference: u64,
    /// What is not before it is not known yet, or does not count any more.
    pub now: u64,
    pub scores: &'a History,
}

/// Two small networks that choose, among the moments at which a sound changes, where an event begins and ends
/// (`clap.placing` of a package; `FORMAT.md` says what they are told).
///
/// A label's score says roughly when; the sound itself says exactly when something changed, but not which change is the
/// event's: the networks learnt it from scenes of known times (`models/training`, `listen_training.placing`).
#[derive(Debug, Clone, PartialEq)]
pub struct Placing {
    step: u64,
    onset: Network,
    offset: Network,
}

/// Weights and biases, layer after layer.
pub type Layers = Vec<(Vec<f32>, Vec<f32>)>;

/// Layers with max(0, x) between; the last has one row.
#[derive(Debug, Clone, PartialEq)]
struct Network {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq)]
struct Layer {
    ins: usize,
    /// `[outs, ins]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Placing {
    /// Those of a package, if it has some.
    pub fn open(package: &Package) -> Result<Option<Placing>, PackageError> {
        let manifest = package.manifest();
        let Some((placing, front_end)) =
            manifest.clap.as_ref().and_then(|clap| clap.placing.as_ref()).zip(manifest.front_end())
        else {
            return Ok(None);
        };
        let samples = u64::from(placing.step_frames) * u64::from(front_end.hop_length);
        let step = samples * 1_000_000_000 / u64::from(front_end.sample_rate.max(1));
        let layers = |kind| {
            let mut layers: Layers = Vec::new();
            // The package was found to have layers that fit each other, down to one of one row.
            while layers.last().is_none_or(|(_, bias)| bias.len() != 1) {
                let tensor =
                    |what| package.tensor_f32(&placing.file, &format!("{kind}.{}.{what}", layers.len()));
                layers.push((tensor("weight")?.1, tensor("bias")?.1));
            }
            Ok::<Layers, PackageError>(layers)
        };
        Ok(Placing::new(step, layers("onset")?, layers("offset")?))
    }

    /// Networks for scores `step` nanoseconds apart: of each layer the weight `[outs, ins]`, row after row, and the bias `[outs]`.
    ///
    /// `None` where layers do not fit each other, one has more than 64 rows, the first does not take 2 to 32 scores, an even number,
    /// beside what is told, or the last has more than one row.
    pub fn new(step: u64, onset: Layers, offset: Layers) -> Option<Placing> {
        Some(Placing { step, onset: Network::new(onset)?, offset: Network::new(offset)? })
    }

    /// Whether scores come as the networks know them.
    pub(crate) fn fits(&self, scores: &History) -> bool {
        !scores.is_empty() && scores.step().abs_diff(self.step) <= self.step / 64
    }

    /// The moment that is taken, of `edges` in the order of time.
    pub(crate) fn place(&self, kind: Kind, edges: &VecDeque<Edge>, search: &Search) -> Option<u64> {
        let network = match kind {
            Kind::Onset => &self.onset,
            Kind::Offset => &self.offset,
        };
        let known = edges.partition_point(|edge| edge.at < search.now);
        let longest = search.now.saturating_sub(LONGEST);
        let search = &Search { reference: search.reference.max(longest), ..*search };
        let first = search.first.max(search.reference.saturating_sub(kind.back())).max(longest);
        let from = edges.partition_point(|edge| edge.at < first);
        let mut input = [0.0; MOST_INPUTS];
        let input = input.get_mut(..network.layers.first()?.ins)?;
        let mut best: Option<(f32, u64)> = None;
        for (place, edge) in (from..known).filter_map(|place| Some((place, edges.get(place)?))) {
            let strength = kind.own(edge);
            let near = |other: &&Edge| other.at.abs_diff(edge.at) <= APART;
            let before = edges.range(..place).rev().take_while(near);
            let mut around = before.chain(edges.range(place + 1..known).take_while(near));
            if strength.is_nan() || strength < FAINTEST || around.any(|other| kind.own(other) > strength) {
                continue;
            }
            tell(kind, edges, edge, search, input);
            let value = network.value(input);
            if !value.is_nan() && best.is_none_or(|(most, _)| value > most) {
                best = Some((value, edge.at));
            }
        }
        best.map(|(_, at)| at)
    }
}

/// What a network is told of a moment.
fn tell(kind: Kind, edges: &VecDeque<Edge>, edge: &Edge, search: &Search, input: &mut [f32]) {
    let (told, track) = input.split_at_mut(TOLD);
    let (low, high) = (edge.at.min(search.reference), edge.at.max(search.reference));
    let (low, high) = (low.saturating_add(CLEAR), high.saturating_sub(CLEAR));
    let from = edges.partition_point(|edge| edge.at <= low);
    let until = edges.partition_point(|edge| edge.at < high).max(from);
    let highest =
        |of: fn(Kind, &Edge) -> f32| edges.range(from..until).map(|e| of(kind, e)).fold(0.0, f32::max);
    let away = (edge.at as f64 - search.reference as f64) / 1e9;
    let inwards = if kind == Kind::Onset { away } else { -away } as f32;
    told.copy_from_slice(&[
        kind.own(edge),
        kind.other(edge),
        highest(Kind::own),
        highest(Kind::other),
        inwards,
    ]);
    let around = (track.len() / 2) as i64;
    let middle = search.scores.place(edge.at);
    let newest = search.scores.place(search.now.saturating_sub(search.scores.step()));
    for (value, place) in track.iter_mut().zip(middle - around..) {
        let score = search.scores.at(place.min(newest)).filter(|score| !score.is_nan()).unwrap_or(LEAST);
        let score = score.clamp(LEAST, 1.0 - LEAST);
        *value = (score / (1.0 - score)).ln() / SCALE;
    }
    if kind == Kind::Offset {
        track.reverse();
    }
}

impl Network {
    fn new(layers: Layers) -> Option<Network> {
        let mut outs = None;
        let mut made = Vec::with_capacity(layers.len());
        for (weight, bias) in layers {
            let ins = weight.len().checked_div(bias.len())?;
            let even = (TOLD + 2..=MOST_INPUTS).contains(&ins) && (ins - TOLD).is_multiple_of(2);
            let fits = outs.map_or(even, |outs| outs == ins) && bias.len() <= MOST_ROWS;
            if !fits || weight.len() != ins * bias.len() {
                return None;
            }
            outs = Some(bias.len());
            made.push(Layer { ins, weight, bias });
        }
        (outs == Some(1)).then_some(Network { layers: made })
    }

    /// The one value that its last layer gives.
    fn value(&self, input: &[f32]) -> f32 {
        let (mut values, mut sums) = ([0.0; MOST_ROWS], [0.0; MOST_ROWS]);
        values[..input.len()].copy_from_slice(input);
        for (place, layer) in self.layers.iter().enumerate() {
            let rows = layer.weight.chunks_exact(layer.ins).zip(&layer.bias);
            for (sum, (row, bias)) in sums.iter_mut().zip(rows) {
                let value = bias + crate::score::dot(row, &values[..layer.ins]);
                *sum = if place + 1 == self.layers.len() { value } else { value.max(0.0) };
            }
            std::mem::swap(&mut values, &mut sums);
        }
        values[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Span;

    /// One layer that looks at one of its inputs.
    fn looks_at(place: usize, sign: f32) -> Layers {
        let mut weight = vec![0.0; TOLD + 4];
        weight[place] = sign;
        vec![(weight, vec![0.0])]
    }

    fn search(scores: &History) -> Search<'_> {
        Search { step: 0, first: 0, by_networks: true, reference: 4_000 * MS, now: 4_080 * MS, scores }
    }

    fn edges(some: &[(u64, f32)]) -> VecDeque<Edge> {
        some.iter().map(|&(at, onset)| Edge { at: at * MS, onset, offset: 0.0 }).collect()
    }

    #[test]
    fn what_the_network_is_told_decides() {
        let mut scores = History::default();
        for k in 0..51 {
            let score = if k < 30 { 0.01 } else { 0.9 };
            scores.push(Span::new(k * 80 * MS, (k + 1) * 80 * MS, 80 * MS), score);
        }
        let edges = edges(&[(500, 2.0), (1_500, 0.5), (2_400, 0.4), (3_900, 0.6), (4_080, 9.0)]);
        let taken = |onset: Layers| {
            let placing = Placing::new(80 * MS, onset, looks_at(0, 1.0)).unwrap();
            placing.place(Kind::Onset, &edges, &search(&scores)).map(|at| at / MS)
        };
        // 0.5 s is more than 3 s before, 4.08 s is not known yet.
        assert_eq!(taken(looks_at(0, 1.0)), Some(3_900));
        // The latest, the earliest; nothing strong between; where the score has just risen.
        assert_eq!((taken(looks_at(4, 1.0)), taken(looks_at(4, -1.0))), (Some(3_900), Some(1_500)));
        assert_eq!(taken(looks_at(2, 1.0)), Some(1_500));
        let mut risen = looks_at(TOLD + 2, 1.0);
        risen[0].0[TOLD + 1] = -1.0;
        assert_eq!(taken(risen), Some(2_400));
    }

    #[test]
    fn a_reference_long_before_what_is_known_counts_as_eight_seconds_before() {
        let scores = History::default();
        let edges = edges(&[(1_500, 2.0), (2_500, 1.0), (9_000, 1.0)]);
        let search = Search { reference: 500 * MS, now: 10_000 * MS, ..search(&scores) };
        // Where most lies between it and the reference: at 2 s, behind the strongest.
        let placing = Placing::new(80 * MS, looks_at(2, 1.0), looks_at(2, 1.0)).unwrap();
        assert_eq!(placing.place(Kind::Onset, &edges, &search), Some(9_000 * MS));
    }

    #[test]
    fn only_the_strongest_nearby_is_a_moment_and_none_that_is_faint_or_no_number() {
        let scores = History::default();
        let placing = Placing::new(80 * MS, looks_at(0, -1.0), looks_at(0, 1.0)).unwrap();
        assert!(!placing.fits(&scores));
        let taken = |some: &[(u64, f32)]| {
            placing.place(Kind::Onset, &edges(some), &search(&scores)).map(|at| at / MS)
        };
        assert_eq!(taken(&[(3_000, 0.5), (3_050, 0.4), (3_110, 0.7)]), Some(3_000));
        assert_eq!(taken(&[(3_000, 0.14), (3_500, f32::NAN)]), None);
        assert_eq!(taken(&[]), None);
    }

    #[test]
    fn layers_must_fit_each_other() {
        let layers = |sizes: &[(usize, usize)]| -> Layers {
            sizes.iter().map(|&(outs, ins)| (vec![0.0; outs * ins], vec![0.0; outs])).collect()
        };
        let made =
            |sizes: &[(usize, usize)]| Placing::new(80 * MS, layers(sizes), looks_at(0, 1.0)).is_some();
        assert!(made(&[(4, TOLD + 8), (1, 4)]));
        assert!(!made(&[(4, TOLD + 7), (1, 4)]) && !made(&[(4, TOLD + 8), (1, 3)]));
        assert!(!made(&[(4, TOLD + 8)]) && !made(&[]) && !made(&[(0, 9)]));
        assert!(
            made(&[(64, TOLD + 32), (1, 64)])
                && !made(&[(65, TOLD + 32), (1, 65)])
                && !made(&[(1, TOLD + 34)])
        );
    }
}
