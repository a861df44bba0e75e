import os
from inferencekey import DataClient

data = DataClient.from_env(project="acme")
emb = data.endpoint(
    "billing",
    api_key=os.environ["BILLING_IK_LIVE"],
).embed(input=["first document", "second document"])
print(len(emb.embeddings))  # 2 vectors
print(len(emb.embeddings[0]))  # dimensionality of each vector
print(emb.model)  # the embedding model
