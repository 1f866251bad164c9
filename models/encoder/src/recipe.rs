//! From the encoder's output to what is given: which graph gets what, in which order.

use listen_package::{
    Activation, ClipPooling, EncoderKind, FrameEmbedding, Frontend, HeadInput, Layout, Manifest, Output,
    TokenOrder,
};

/// What the manifest says about one run, without its files.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) layout: Layout,
    pub(crate) width: usize,
    /// Whether frames are samples: the graph's own frames may then be one more than the samples fill.
    pub(crate) in_graph: bool,
    pub(crate) kind: EncoderKind,
    pub(crate) order: TokenOrder,
    pub(crate) rows: usize,
    /// Length of one vector of the encoder's output.
    pub(crate) dim: usize,
    pub(crate) frames_per_step: u32,
    /// Time steps by which a part of a stream comes later than its frames, where the graph carries over.
    pub(crate) delay: usize,
    pub(crate) frame_embedding: FrameEmbedding,
    pub(crate) clip_pooling: ClipPooling,
    pub(crate) head: Option<HeadRecipe>,
    pub(crate) activation: Option<Activation>,
    /// Whether the classifier also scores single time steps.
    pub(crate) scores_frames: bool,
    /// Whether there are texts to compare with.
    pub(crate) clap: bool,
}

/// The head's part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadRecipe {
    pub(crate) takes: HeadInput,
    pub(crate) frames: bool,
    pub(crate) dim: usize,
}

impl Recipe {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let encoder = &manifest.encoder.output;
        let head = manifest.head.as_ref();
        // A mean over time and a linear classifier may change places; mean plus maximum and a classifier may not.
        let same_space = match head {
            Some(head) => head.frames,
            None => manifest.clip_pooling == ClipPooling::MeanTime,
        };
        Self {
            layout: manifest.encoder.input.layout,
            width: manifest.front_end().map_or(1, |front_end| front_end.n_mels as usize),
            in_graph: manifest.frontend == Frontend::InGraph,
            kind: encoder.kind,
            order: encoder.order.unwrap_or(TokenOrder::FMajor),
            rows: encoder.freq_rows.max(1) as usize,
            dim: encoder.dim as usize,
            frames_per_step: encoder.frames_per_column,
            delay: manifest
                .streaming
                .as_ref()
                .map_or(0, |streaming| (streaming.right_context / encoder.frames_per_column.max(1)) as usize),
            frame_embedding: manifest.frame_embedding,
            clip_pooling: manifest.clip_pooling,
            head: head.map(|h| HeadRecipe { takes: h.takes, frames: h.frames, dim: h.dim as usize }),
            activation: manifest.tagger.as_ref().map(|tagger| tagger.activation),
            scores_frames: manifest.tagger.is_some() && same_space,
            clap: manifest.clap.is_some(),
        }
    }

    /// Whether the encoder gives a vector per time step.
    pub(crate) fn in_time(&self) -> bool {
        matches!(self.kind, EncoderKind::Tokens | EncoderKind::Frames)
    }

    /// Whether what is given for `output` can be compared with text: it went through the head, if there is one.
    pub(crate) fn in_text_space(&self, output: Output) -> bool {
        self.clap
            && match output {
                Output::Clip => true,
                Output::Frames => self.head.is_none_or(|head| head.frames),
                Output::Tokens => false,
            }
    }

    /// The shape of the encoder's output for a window of `frames` frames, without the batch.
    pub(crate) fn output_shape(&self, frames: u32) -> Vec<usize> {
        match self.kind {
            EncoderKind::Tokens | EncoderKind::Frames => {
                vec![(frames / self.frames_per_step.max(1)) as usize * self.rows, self.dim]
            }
            EncoderKind::Clip | EncoderKind::Logits => vec![self.dim],
        }
    }

    /// Whether the graph's output for one window is as it must be.
    ///
    /// A graph that takes samples may give one step more than the samples fill: its frames are centred.
    pub(crate) fn fits(&self, frames: u32, found: &[usize]) -> bool {
        let expected = self.output_shape(frames);
        let one_more = self.in_graph && found == [expected[0] + self.rows, self.dim];
        found == expected || (self.in_time() && one_more)
    }
}

/// Scores of classes, in [0, 1], from a classifier's output `[rows, classes]`.
pub(crate) fn activate(how: Activation, scores: &mut [f32], classes: usize) {
    match how {
        Activation::None => {}
        Activation::Sigmoid => {
            scores.iter_mut().for_each(|s| *s = (1.0 / (1.0 + (-f64::from(*s)).exp())) as f32)
        }
        Activation::Softmax => {
            for row in scores.chunks_mut(classes.max(1)) {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let power = |s: f32| f64::from(s - max).exp();
                let sum: f64 = row.iter().map(|&s| power(s)).sum();
                row.iter_mut().for_each(|s| *s = (power(*s) / sum) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_of_each_class_or_of_one_among_all() {
        let mut scores = [0.0, 800.0, -800.0];
        activate(Activation::Sigmoid, &mut scores, 3);
        assert_eq!(scores, [0.5, 1.0, 0.0]);
        let mut scores = [1000.0, 1000.0, 0.0, 0.0];
        activate(Activation::Softmax, &mut scores, 2);
        assert_eq!(scores, [0.5, 0.5, 0.5, 0.5]);
        let mut scores = [0.25, -1.0];
        activate(Activation::None, &mut scores, 2);
        assert_eq!(scores, [0.25, -1.0]);
    }
}
