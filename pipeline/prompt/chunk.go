package prompt

// Chunk is as much of a prompt as a text encoder takes at a time, without the
// tokens that begin and end it and without padding.
type Chunk struct {
	IDs     []int64
	Weights []float32 // of each token
}

func (c *Chunk) add(id int64, weight float32) {
	c.IDs, c.Weights = append(c.IDs, id), append(c.Weights, weight)
}

// Tokens turns text into ids.
type Tokens struct {
	Room  int                  // of a chunk
	Comma int64                // the id of a comma
	IDs   func(string) []int64 // of a text's tokens
	Words map[int64]int        // how many tokens a word is whose first has the id, where they must stay together; nil for no such words
}

// backtrack is how many tokens behind a comma move to the next chunk with what
// doesn't fit, so that a phrase stays whole: the web UI's default.
const backtrack = 20

// Chunks lays the tokens of all parts into chunks, of which there is at least
// one.
func (t Tokens) Chunks(parts []Part) []Chunk {
	var chunks []Chunk
	var chunk Chunk
	comma := -1 // the last one's place in the chunk
	next := func() {
		chunks = append(chunks, chunk)
		chunk, comma = Chunk{}, -1
	}
	for _, part := range parts {
		if part.Break {
			next()
			continue
		}
		for _, id := range t.IDs(part.Text) {
			full := len(chunk.IDs) == t.Room
			if id == t.Comma {
				comma = len(chunk.IDs)
			} else if full && comma >= 0 && len(chunk.IDs)-comma <= backtrack {
				moved := Chunk{chunk.IDs[comma+1:], chunk.Weights[comma+1:]}
				chunk = Chunk{chunk.IDs[: comma+1 : comma+1], chunk.Weights[: comma+1 : comma+1]}
				next()
				chunk = moved
			}
			if len(chunk.IDs) == t.Room || len(chunk.IDs)+t.Words[id] > t.Room && len(chunk.IDs) > 0 {
				next()
			}
			chunk.add(id, float32(part.Weight))
		}
	}
	if len(chunk.IDs) > 0 || len(chunks) == 0 {
		next()
	}
	return chunks
}
