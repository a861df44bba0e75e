import os
from inferencekey import DataClient

data = DataClient.from_env(project="acme")
ep = data.endpoint("support-bot", api_key=os.environ["SUPPORT_IK_LIVE"])
out = ep.generate_text(
    prompt="Hola, ¿cómo puedo cancelar mi pedido?",
    temperature=0.2,
    max_tokens=300,
)
print(out.text)  # the completion
print(out.model)  # the model that served it
