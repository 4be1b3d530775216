"""Files that people judge by become questions, documents and judgements."""
