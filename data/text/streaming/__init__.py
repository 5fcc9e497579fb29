"""A user's own text as token windows: many files by domain, read record by record, with exact resume.

```python
from sparsebench.data.text.streaming.corpus import TextCorpus, count_tokens

count_tokens("my_texts", tokenizer)  # {"news": Counts(documents=..., tokens=..., bytes=...), ...}
corpus = TextCorpus("my_texts", tokenizer, length=512, weights={"news": 0.7, "recipes": 0.3})
for domain, window in corpus:  # a list of 512 token numbers
    ...
corpus.state_dict()  # small, and enough to go on with the very next window
```
"""
