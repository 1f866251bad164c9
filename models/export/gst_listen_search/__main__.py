from gst_listen_search.cli import main

if __name__ == "__main__":
    main()
