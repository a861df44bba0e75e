for chunk in ep.generate_text_stream(prompt="Hola"):
    print(chunk.text, end="", flush=True)
